-- depends: 0001.foundation 0131.model_limits_plain
-- Room for many calls at once: a process that asks all the time takes it as a block, and the database is not on the way
-- of most of its calls.

-- What is lent in blocks that may yet come back, and until when: nobody is refused for it without waiting for it.
ALTER TABLE model_limit_use
    ADD COLUMN lent bigint NOT NULL DEFAULT 0, ADD COLUMN lent_until timestamptz NOT NULL DEFAULT '-infinity';

-- Settles what calls came to, then admits others, in the order given: each in all counters that it names, or in none.
-- All rows that it needs are made and then locked in one order, so that no two of these wait for each other.
--
-- counters: [{o: organisation, c: counter, n: parts, ms: length of one, about}], each once, sorted by o and c;
-- settlements: [{o, r: reservation, x: places in counters, d: differences, t: parts, s: sharers}]; of a block also
-- {k: its calls under way [{r, lease_ms, about}], a: what more was asked for, l: what was lent}, and its calls then have
-- reservations of their own;
-- admissions: [{o, r, x, a: amounts, m: most, f: whether a person lets it beyond, s: sharers, lease_ms, about}], and
-- perhaps {n: room for how many such calls at once is wished, ms: for how long at most, w: whether it waits for what is
-- lent, before it is refused}.
-- It answers {slots: of each counter, answers: for each admission null; or {n, ms}, a block of so many that may be begun
-- for so long; or {w: milliseconds after which to ask again}; or [[which, milliseconds to wait or null], …]}, or null
-- where a row went away meanwhile: ask again.
CREATE OR REPLACE FUNCTION signoff_admit_model_calls(
    counters jsonb, settlements jsonb, admissions jsonb, now_is timestamptz, durable boolean
) RETURNS jsonb
LANGUAGE plpgsql
AS $admit$
DECLARE
    most_sharers CONSTANT integer := 16;
    few CONSTANT integer := 200;  -- numbers that are added up one by one in less time than a query is set up
    part_lent CONSTANT integer := 32;  -- a block takes at most this part of the room: near a limit there are none
    late CONSTANT interval := '250 milliseconds';  -- how long after its end a block may take to come back
    moment timestamptz := coalesce(now_is, clock_timestamp());
    moment_ms bigint := floor(extract(epoch FROM moment) * 1000)::bigint;
    wanted integer := jsonb_array_length(counters);
    rows model_limit_use[] := '{}';
    lengths bigint[] := '{}';
    totals bigint[] := '{}';
    c model_limit_use;
    ignored text;
    slot_ms bigint;
    slot_now bigint;
    item jsonb;
    x jsonb;
    id uuid;
    orgs uuid[] := '{}';
    settling uuid[] := '{}';
    settled uuid[] := '{}';
    answers jsonb := '[]';
    misses jsonb;
    n integer;
    wants bigint;
    most bigint;
    total bigint;
    used bigint;
    sharer text;
    slot bigint;
    places integer[];
    place integer;
    at integer;
    keep bigint;
    needed bigint;
    freed bigint;
    wait_ms bigint;
    sharing integer;
    slots bigint[] := '{}';
    alone uuid[] := '{}';
    calls bigint;
    life_ms bigint;
    comes_back timestamptz;
    waits boolean;
BEGIN
    IF NOT durable THEN
        ignored := set_config('synchronous_commit', 'off', true);
    END IF;
    -- Each is made or locked before the next one is touched, so that no two of these wait for each other.
    FOR i IN 0 .. wanted - 1 LOOP
        item := counters -> i;
        slot_ms := item -> 'ms';
        IF slot_ms > 0 THEN
            slot_now := moment_ms / slot_ms;
        ELSE
            slot_now := signoff_limit_slot(moment, slot_ms);
        END IF;
        SELECT u.* INTO c FROM model_limit_use u
        WHERE u.org_id = (item ->> 'o')::uuid AND u.counter = item ->> 'c' FOR UPDATE;
        IF NOT FOUND THEN
            INSERT INTO model_limit_use (org_id, counter, about, slot, slots, epoch, stale_at)
            VALUES ((item ->> 'o')::uuid, item ->> 'c', item -> 'about', slot_now, (item ->> 'n')::int,
                slot_now / greatest((item ->> 'n')::int - 1, 1), moment + interval '400 days')
            ON CONFLICT DO NOTHING;
            SELECT u.* INTO c FROM model_limit_use u
            WHERE u.org_id = (item ->> 'o')::uuid AND u.counter = item ->> 'c' FOR UPDATE;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
        END IF;
        IF slot_now > c.slot THEN
            c := signoff_limit_moved(c, slot_now);
        END IF;
        total := 0;
        IF cardinality(c.used) <= few THEN
            FOREACH used IN ARRAY c.used LOOP
                total := total + used;
            END LOOP;
        ELSE
            total := (SELECT sum(u) FROM unnest(c.used) AS u)::bigint;
        END IF;
        rows := rows || c;
        lengths := lengths || slot_ms;
        totals := totals || total;
    END LOOP;

    FOR k IN 0 .. jsonb_array_length(settlements) - 1 LOOP
        item := settlements -> k;
        id := item ->> 'r';
        settling := settling || id;
        IF item ? 'k' THEN
            DELETE FROM model_reservation v WHERE v.org_id = (item ->> 'o')::uuid AND v.reservation_id = id;
            IF FOUND THEN
                settled := settled || id;
                IF item -> 'k' <> '[]' THEN
                    INSERT INTO model_reservation (org_id, reservation_id, expires_at, about)
                    SELECT (item ->> 'o')::uuid, (v ->> 'r')::uuid,
                        moment + make_interval(secs => (v ->> 'lease_ms')::bigint / 1000.0), v -> 'about'
                    FROM jsonb_array_elements(item -> 'k') AS v;
                END IF;
            END IF;
        ELSE
            alone := alone || id;
            IF orgs = '{}' OR orgs[cardinality(orgs)] <> (item ->> 'o')::uuid THEN
                orgs := orgs || (item ->> 'o')::uuid;
            END IF;
        END IF;
    END LOOP;
    -- A second settlement of the same call finds no reservation, and changes nothing. Blocks went first: a call of theirs
    -- may have ended meanwhile.
    IF alone <> '{}' THEN
        FOR id IN DELETE FROM model_reservation v WHERE v.org_id = ANY (orgs) AND v.reservation_id = ANY (alone)
            RETURNING v.reservation_id
        LOOP
            settled := settled || id;
        END LOOP;
    END IF;
    FOR k IN 1 .. cardinality(settling) LOOP
        CONTINUE WHEN array_position(settled, settling[k]) IS NULL;
        settled := array_remove(settled, settling[k]);  -- whoever says it twice at once is heard once
        item := settlements -> (k - 1);
        x := item -> 'x';
        FOR i IN 0 .. jsonb_array_length(x) - 1 LOOP
            n := x -> i;
            wants := item -> 'd' -> i;
            slot := item -> 't' -> i;
            c := rows[n];
            place := coalesce(array_position(c.sharers, item -> 's' ->> i), array_position(c.sharers, '…'));
            IF place IS NOT NULL AND wants <> 0 AND slot > c.slot - c.slots THEN
                at := place * c.slots - (c.slot - least(slot, c.slot))::integer;
                c.used[at] := c.used[at] + wants;
                totals[n] := totals[n] + wants;
                rows[n] := c;
            END IF;
            IF item ? 'k' THEN
                c.lent := greatest(c.lent - (item -> 'l' -> i)::bigint, 0);
                IF place IS NOT NULL THEN
                    -- To whichever window it was asked for in, as far as that is still remembered.
                    CASE c.epoch - slot / greatest(c.slots - 1, 1)
                        WHEN 0 THEN c.asked[place] := least(c.asked[place] + (item -> 'a' -> i)::bigint, c.most);
                        WHEN 1 THEN
                            c.asked_before[place] := least(c.asked_before[place] + (item -> 'a' -> i)::bigint, c.most);
                        ELSE
                    END CASE;
                END IF;
                rows[n] := c;
            END IF;
        END LOOP;
    END LOOP;

    FOR k IN 0 .. jsonb_array_length(admissions) - 1 LOOP
        item := admissions -> k;
        x := item -> 'x';
        misses := NULL;
        places := '{}';
        calls := coalesce((item -> 'n')::bigint, 1);
        life_ms := item -> 'ms';
        comes_back := NULL;
        waits := (item -> 'w')::boolean IS TRUE;
        FOR i IN 0 .. jsonb_array_length(x) - 1 LOOP
            n := x -> i;
            wants := item -> 'a' -> i;
            most := item -> 'm' -> i;
            sharer := item -> 's' ->> i;
            c := rows[n];
            place := array_position(c.sharers, sharer);
            IF place IS NULL AND cardinality(c.sharers) >= most_sharers THEN
                place := array_position(c.sharers, '…');
            END IF;
            IF place IS NULL THEN
                c.sharers := c.sharers || CASE WHEN cardinality(c.sharers) < most_sharers THEN sharer ELSE '…' END;
                c.used := c.used || array_fill(0::bigint, ARRAY[c.slots]);
                c.asked := c.asked || 0::bigint;
                c.asked_before := c.asked_before || 0::bigint;
                place := cardinality(c.sharers);
            END IF;
            places := places || place;
            c.asked[place] := least(c.asked[place] + wants, most);
            c.most := most;
            -- What the others asked for lately, up to an equal part of the whole, stays free for them.
            keep := 0;
            sharing := cardinality(c.sharers);
            IF sharing > 1 THEN
                FOR other IN 1 .. sharing LOOP
                    IF other <> place THEN
                        keep := keep + greatest(0, least(greatest(c.asked[other], c.asked_before[other]),
                            most / sharing) - (SELECT coalesce(sum(u), 0) FROM unnest(
                                c.used[(other - 1) * c.slots + 1 : other * c.slots]) AS u)::bigint);
                    END IF;
                END LOOP;
            END IF;
            needed := totals[n] + wants + keep - most;
            IF calls > 1 THEN
                life_ms := least(life_ms, signoff_limit_slot_end(c.slot, lengths[n]) - moment_ms);
                IF wants > 0 THEN
                    calls := least(calls, (most - totals[n] - keep) / part_lent / wants);
                END IF;
            END IF;
            IF needed > 0 AND NOT (item -> 'f' -> i)::boolean THEN
                waits := waits AND c.lent >= needed AND c.lent_until > moment;
                comes_back := greatest(comes_back, c.lent_until);
                wait_ms := NULL;
                IF wants <= most THEN
                    freed := 0;
                    FOR part IN 1 .. c.slots LOOP
                        freed := freed + (SELECT coalesce(sum(c.used[(o - 1) * c.slots + part]), 0)
                            FROM generate_series(1, sharing) AS o)::bigint;
                        wait_ms := signoff_limit_slot_end(c.slot + part - 1, lengths[n]) - moment_ms;
                        EXIT WHEN freed >= needed;
                    END LOOP;
                END IF;
                misses := coalesce(misses, '[]') || jsonb_build_array(jsonb_build_array(i,
                    CASE WHEN wait_ms IS NOT NULL THEN greatest(wait_ms, 1) END));
            END IF;
            rows[n] := c;
        END LOOP;
        IF misses IS NULL THEN
            -- Calls have to begin in the part of the window that counts them; a moment is worth no block.
            IF life_ms < 10 THEN
                calls := 1;
            END IF;
            calls := greatest(calls, 1);
            FOR i IN 0 .. jsonb_array_length(x) - 1 LOOP
                n := x -> i;
                wants := (item -> 'a' -> i)::bigint * calls;
                c := rows[n];
                IF calls > 1 THEN
                    c.lent := wants + CASE WHEN c.lent_until > moment THEN c.lent ELSE 0 END;
                    c.lent_until := greatest(c.lent_until, moment + make_interval(secs => life_ms / 1000.0) + late);
                END IF;
                at := places[i + 1] * c.slots;
                c.used[at] := c.used[at] + wants;
                totals[n] := totals[n] + wants;
                rows[n] := c;
            END LOOP;
            INSERT INTO model_reservation (org_id, reservation_id, expires_at, about)
            VALUES ((item ->> 'o')::uuid, (item ->> 'r')::uuid,
                moment + make_interval(secs => (item ->> 'lease_ms')::bigint / 1000.0),
                CASE WHEN calls > 1 THEN item -> 'about' || jsonb_build_object('calls', calls) ELSE item -> 'about' END);
            IF calls > 1 THEN
                answers := answers || jsonb_build_object('n', calls, 'ms', life_ms);
            ELSE
                answers := answers || 'null'::jsonb;
            END IF;
        ELSIF waits THEN
            answers := answers || jsonb_build_object('w', ceil(extract(epoch FROM comes_back - moment) * 1000)::bigint);
        ELSE
            answers := answers || jsonb_build_array(misses);
        END IF;
    END LOOP;

    FOR i IN 1 .. wanted LOOP
        c := rows[i];
        slots := slots || c.slot;
        UPDATE model_limit_use u SET slot = c.slot, most = c.most, sharers = c.sharers, used = c.used, epoch = c.epoch,
            asked = c.asked, asked_before = c.asked_before, lent = c.lent, lent_until = c.lent_until, stale_at = CASE
                WHEN lengths[i] > 0 THEN moment + make_interval(secs => lengths[i] * c.slots * 2 / 1000.0)
                ELSE moment + interval '400 days' END
        WHERE u.org_id = c.org_id AND u.counter = c.counter;
    END LOOP;
    RETURN jsonb_build_object('slots', to_jsonb(slots), 'answers', answers);
END
$admit$;
