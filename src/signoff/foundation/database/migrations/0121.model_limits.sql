-- depends: 0001.foundation
-- What models were asked, by the limits of `models.yaml` that count it, and room that is set aside for calls under way.

-- One row per limit and holder (docs/reference/limits.md). It is locked for one statement only, and rewritten by it:
-- half of each page is left for that.
CREATE TABLE model_limit_use (
    org_id uuid NOT NULL REFERENCES organisation,
    counter text COLLATE "C" NOT NULL CHECK (counter ~ '^[0-9a-f]{32}$'),
    about jsonb NOT NULL,
    -- The newest part of the window, and how many parts there are; a calendar window is one part.
    slot bigint NOT NULL,
    slots integer NOT NULL CHECK (slots BETWEEN 1 AND 64),
    most bigint NOT NULL DEFAULT 0,
    -- Who shares it, and what each has used: `slots` numbers for each sharer, the oldest part first.
    sharers text[] NOT NULL DEFAULT '{}',
    used bigint[] NOT NULL DEFAULT '{}',
    -- What each asked for, in the whole window under way and in the one before: it is kept free for them.
    epoch bigint NOT NULL DEFAULT 0,
    asked bigint[] NOT NULL DEFAULT '{}',
    asked_before bigint[] NOT NULL DEFAULT '{}',
    -- From when on nothing in it counts any more.
    stale_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, counter),
    CHECK (cardinality(used) = cardinality(sharers) * slots),
    CHECK (cardinality(asked) = cardinality(sharers) AND cardinality(asked_before) = cardinality(sharers))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
SELECT signoff_protect('model_limit_use');

-- Calls under way. What nobody settles counts as used in full, and is told as such once its lease is over.
CREATE TABLE model_reservation (
    org_id uuid NOT NULL REFERENCES organisation,
    reservation_id uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    about jsonb NOT NULL,
    PRIMARY KEY (org_id, reservation_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX model_reservation_by_end ON model_reservation (expires_at);
SELECT signoff_protect('model_reservation');

-- The part of a window that a moment is in: 0 milliseconds mean calendar months, fewer that the window never ends.
CREATE FUNCTION signoff_limit_slot(moment timestamptz, slot_ms bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $slot$
    SELECT CASE
        WHEN slot_ms > 0 THEN floor(extract(epoch FROM moment) * 1000 / slot_ms)::bigint
        WHEN slot_ms = 0 THEN (extract(year FROM moment AT TIME ZONE 'UTC') * 12
            + extract(month FROM moment AT TIME ZONE 'UTC') - 1)::bigint
        ELSE 0
    END
$slot$;

-- When a part is over, in milliseconds of Unix time.
CREATE FUNCTION signoff_limit_slot_end(slot bigint, slot_ms bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE
AS $end$
    SELECT CASE
        WHEN slot_ms > 0 THEN (slot + 1) * slot_ms
        WHEN slot_ms = 0 THEN (extract(epoch FROM make_timestamptz(
            ((slot + 1) / 12)::int, ((slot + 1) % 12 + 1)::int, 1, 0, 0, 0, 'UTC')) * 1000)::bigint
    END
$end$;

-- A counter as of a part: what has left the window is forgotten, and so is who neither used nor asked for anything.
CREATE FUNCTION signoff_limit_moved(c model_limit_use, to_slot bigint) RETURNS model_limit_use
LANGUAGE plpgsql IMMUTABLE
AS $moved$
DECLARE
    gone integer := least(to_slot - c.slot, c.slots);
    to_epoch bigint := to_slot / greatest(c.slots - 1, 1);
    part bigint[];
    names text[] := '{}';
    used bigint[] := '{}';
    asked bigint[] := '{}';
    before bigint[] := '{}';
    asked_then bigint;
    asked_now bigint;
BEGIN
    IF gone <= 0 THEN
        RETURN c;
    END IF;
    FOR i IN 1 .. cardinality(c.sharers) LOOP
        part := c.used[(i - 1) * c.slots + gone + 1 : i * c.slots] || array_fill(0::bigint, ARRAY[gone]);
        asked_now := CASE WHEN to_epoch = c.epoch THEN c.asked[i] ELSE 0 END;
        asked_then := CASE to_epoch - c.epoch WHEN 0 THEN c.asked_before[i] WHEN 1 THEN c.asked[i] ELSE 0 END;
        IF asked_now <> 0 OR asked_then <> 0 OR EXISTS (SELECT FROM unnest(part) AS u WHERE u <> 0) THEN
            names := names || c.sharers[i];
            used := used || part;
            asked := asked || asked_now;
            before := before || asked_then;
        END IF;
    END LOOP;
    c.slot := to_slot;
    c.epoch := to_epoch;
    c.sharers := names;
    c.used := used;
    c.asked := asked;
    c.asked_before := before;
    RETURN c;
END
$moved$;

-- Settles what calls came to, then admits others, in the order given: each in all counters that it names, or in none.
-- All rows that it needs are made and then locked in one order, so that no two of these wait for each other.
--
-- counters: [{o: organisation, c: counter, n: parts, ms: length of one, about}], each once, sorted by o and c;
-- settlements: [{o, r: reservation, x: places in counters, d: differences, t: parts, s: sharers}];
-- admissions: [{o, r, x, a: amounts, m: most, f: whether a person lets it beyond, s: sharers, lease_ms, about}].
-- It answers {slots: of each counter, answers: for each admission null or [[which, milliseconds to wait or null], …]},
-- or null where a row went away meanwhile: ask again.
CREATE FUNCTION signoff_admit_model_calls(
    counters jsonb, settlements jsonb, admissions jsonb, now_is timestamptz, durable boolean
) RETURNS jsonb
LANGUAGE plpgsql
AS $admit$
DECLARE
    most_sharers CONSTANT integer := 16;
    moment timestamptz := coalesce(now_is, clock_timestamp());
    moment_ms bigint := (extract(epoch FROM moment) * 1000)::bigint;
    wanted integer := jsonb_array_length(counters);
    rows model_limit_use[] := '{}';
    lengths bigint[] := '{}';
    totals bigint[] := '{}';
    c model_limit_use;
    locked record;
    item jsonb;
    settled uuid[];
    answers jsonb := '[]';
    misses jsonb;
    x integer[];
    amounts bigint[];
    most bigint[];
    sharers text[];
    slots bigint[];
    places integer[];
    place integer;
    at integer;
    keep bigint;
    needed bigint;
    freed bigint;
    wait_ms bigint;
    sharing integer;
BEGIN
    IF NOT durable THEN
        PERFORM set_config('synchronous_commit', 'off', true);
    END IF;
    INSERT INTO model_limit_use (org_id, counter, about, slot, slots, epoch, stale_at)
    SELECT (w ->> 'o')::uuid, w ->> 'c', w -> 'about', signoff_limit_slot(moment, (w ->> 'ms')::bigint),
        (w ->> 'n')::int, signoff_limit_slot(moment, (w ->> 'ms')::bigint) / greatest((w ->> 'n')::int - 1, 1),
        moment + interval '400 days'
    FROM jsonb_array_elements(counters) WITH ORDINALITY AS t (w, place)
    WHERE NOT EXISTS (
        SELECT FROM model_limit_use u WHERE u.org_id = (w ->> 'o')::uuid AND u.counter = w ->> 'c')
    ORDER BY t.place
    ON CONFLICT DO NOTHING;
    FOR locked IN
        SELECT u, (t.w ->> 'ms')::bigint AS ms FROM jsonb_array_elements(counters) WITH ORDINALITY AS t (w, place)
        JOIN model_limit_use u ON u.org_id = (t.w ->> 'o')::uuid AND u.counter = t.w ->> 'c'
        ORDER BY t.place FOR UPDATE OF u
    LOOP
        c := locked.u;
        c := signoff_limit_moved(c, greatest(c.slot, signoff_limit_slot(moment, locked.ms)));
        rows := rows || c;
        lengths := lengths || locked.ms;
        totals := totals || coalesce((SELECT sum(u) FROM unnest(c.used) AS u), 0)::bigint;
    END LOOP;
    IF cardinality(rows) <> wanted THEN
        RETURN NULL;
    END IF;

    -- A second settlement of the same call finds no reservation, and changes nothing.
    WITH gone AS (
        DELETE FROM model_reservation v USING jsonb_array_elements(settlements) AS s
        WHERE v.org_id = (s ->> 'o')::uuid AND v.reservation_id = (s ->> 'r')::uuid
        RETURNING v.reservation_id
    )
    SELECT coalesce(array_agg(reservation_id), '{}') INTO settled FROM gone;
    FOR item IN SELECT s FROM jsonb_array_elements(settlements) AS s WHERE (s ->> 'r')::uuid = ANY (settled) LOOP
        x := ARRAY(SELECT v::int FROM jsonb_array_elements_text(item -> 'x') AS v);
        amounts := ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(item -> 'd') AS v);
        slots := ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(item -> 't') AS v);
        sharers := ARRAY(SELECT v FROM jsonb_array_elements_text(item -> 's') AS v);
        FOR i IN 1 .. cardinality(x) LOOP
            c := rows[x[i]];
            place := coalesce(array_position(c.sharers, sharers[i]), array_position(c.sharers, '…'));
            IF place IS NOT NULL AND amounts[i] <> 0 AND slots[i] > c.slot - c.slots THEN
                at := place * c.slots - (c.slot - least(slots[i], c.slot))::integer;
                c.used[at] := c.used[at] + amounts[i];
                totals[x[i]] := totals[x[i]] + amounts[i];
                rows[x[i]] := c;
            END IF;
        END LOOP;
    END LOOP;

    FOR item IN SELECT a FROM jsonb_array_elements(admissions) AS a LOOP
        x := ARRAY(SELECT v::int FROM jsonb_array_elements_text(item -> 'x') AS v);
        amounts := ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(item -> 'a') AS v);
        most := ARRAY(SELECT v::bigint FROM jsonb_array_elements_text(item -> 'm') AS v);
        sharers := ARRAY(SELECT v FROM jsonb_array_elements_text(item -> 's') AS v);
        misses := '[]';
        places := '{}';
        FOR i IN 1 .. cardinality(x) LOOP
            c := rows[x[i]];
            place := array_position(c.sharers, sharers[i]);
            IF place IS NULL AND cardinality(c.sharers) >= most_sharers THEN
                place := array_position(c.sharers, '…');
            END IF;
            IF place IS NULL THEN
                c.sharers := c.sharers || CASE WHEN cardinality(c.sharers) < most_sharers THEN sharers[i] ELSE '…' END;
                c.used := c.used || array_fill(0::bigint, ARRAY[c.slots]);
                c.asked := c.asked || 0::bigint;
                c.asked_before := c.asked_before || 0::bigint;
                place := cardinality(c.sharers);
            END IF;
            places := places || place;
            c.asked[place] := least(c.asked[place] + amounts[i], most[i]);
            c.most := most[i];
            -- What the others asked for lately, up to an equal part of the whole, stays free for them.
            keep := 0;
            sharing := cardinality(c.sharers);
            IF sharing > 1 THEN
                FOR other IN 1 .. sharing LOOP
                    IF other <> place THEN
                        keep := keep + greatest(0, least(greatest(c.asked[other], c.asked_before[other]),
                            most[i] / sharing) - (SELECT coalesce(sum(u), 0) FROM unnest(
                                c.used[(other - 1) * c.slots + 1 : other * c.slots]) AS u)::bigint);
                    END IF;
                END LOOP;
            END IF;
            needed := totals[x[i]] + amounts[i] + keep - most[i];
            IF needed > 0 AND NOT (item -> 'f' ->> (i - 1))::boolean THEN
                wait_ms := NULL;
                IF amounts[i] <= most[i] THEN
                    freed := 0;
                    FOR part IN 1 .. c.slots LOOP
                        freed := freed + (SELECT coalesce(sum(c.used[(o - 1) * c.slots + part]), 0)
                            FROM generate_series(1, sharing) AS o)::bigint;
                        wait_ms := signoff_limit_slot_end(c.slot + part - 1, lengths[x[i]]) - moment_ms;
                        EXIT WHEN freed >= needed;
                    END LOOP;
                END IF;
                misses := misses || jsonb_build_array(jsonb_build_array(i - 1,
                    CASE WHEN wait_ms IS NOT NULL THEN greatest(wait_ms, 1) END));
            END IF;
            rows[x[i]] := c;
        END LOOP;
        IF misses = '[]' THEN
            FOR i IN 1 .. cardinality(x) LOOP
                c := rows[x[i]];
                c.used[places[i] * c.slots] := c.used[places[i] * c.slots] + amounts[i];
                totals[x[i]] := totals[x[i]] + amounts[i];
                rows[x[i]] := c;
            END LOOP;
            INSERT INTO model_reservation (org_id, reservation_id, expires_at, about)
            VALUES ((item ->> 'o')::uuid, (item ->> 'r')::uuid,
                moment + make_interval(secs => (item ->> 'lease_ms')::bigint / 1000.0), item -> 'about');
            answers := answers || 'null'::jsonb;
        ELSE
            answers := answers || jsonb_build_array(misses);
        END IF;
    END LOOP;

    slots := '{}';
    FOR i IN 1 .. wanted LOOP
        c := rows[i];
        slots := slots || c.slot;
        UPDATE model_limit_use u SET slot = c.slot, most = c.most, sharers = c.sharers, used = c.used, epoch = c.epoch,
            asked = c.asked, asked_before = c.asked_before, stale_at = CASE
                WHEN lengths[i] > 0 THEN moment + make_interval(secs => lengths[i] * c.slots * 2 / 1000.0)
                ELSE moment + interval '400 days' END
        WHERE u.org_id = c.org_id AND u.counter = c.counter;
    END LOOP;
    RETURN jsonb_build_object('slots', to_jsonb(slots), 'answers', answers);
END
$admit$;
