-- depends: 0001.foundation 0126.model_limits_quicker
-- Admissions in half of the time again. Most of it went into what PostgreSQL sets up for each query inside a function:
-- what can be said as an expression is said so, and each row is touched by one plain statement.

-- Each update read all four of these anew from their stored text: one says what the function could break.
ALTER TABLE model_limit_use
    DROP CONSTRAINT model_limit_use_counter_check, DROP CONSTRAINT model_limit_use_slots_check,
    DROP CONSTRAINT model_limit_use_check, DROP CONSTRAINT model_limit_use_check1,
    ADD CONSTRAINT model_limit_use_lengths CHECK (slots BETWEEN 1 AND 64 AND cardinality(used) = cardinality(sharers) * slots
        AND cardinality(asked) = cardinality(sharers) AND cardinality(asked_before) = cardinality(sharers));
-- A reservation's organisation is that of its counters, whose rows are locked while it is made and which have this key.
ALTER TABLE model_reservation DROP CONSTRAINT model_reservation_org_id_fkey;

-- Settles what calls came to, then admits others, in the order given: each in all counters that it names, or in none.
-- All rows that it needs are made and then locked in one order, so that no two of these wait for each other.
--
-- counters: [{o: organisation, c: counter, n: parts, ms: length of one, about}], each once, sorted by o and c;
-- settlements: [{o, r: reservation, x: places in counters, d: differences, t: parts, s: sharers}];
-- admissions: [{o, r, x, a: amounts, m: most, f: whether a person lets it beyond, s: sharers, lease_ms, about}].
-- It answers {slots: of each counter, answers: for each admission null or [[which, milliseconds to wait or null], …]},
-- or null where a row went away meanwhile: ask again.
CREATE OR REPLACE FUNCTION signoff_admit_model_calls(
    counters jsonb, settlements jsonb, admissions jsonb, now_is timestamptz, durable boolean
) RETURNS jsonb
LANGUAGE plpgsql
AS $admit$
DECLARE
    most_sharers CONSTANT integer := 16;
    few CONSTANT integer := 200;  -- numbers that are added up one by one in less time than a query is set up
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
        settling := settling || (item ->> 'r')::uuid;
        IF k = 0 OR orgs[cardinality(orgs)] <> (item ->> 'o')::uuid THEN
            orgs := orgs || (item ->> 'o')::uuid;
        END IF;
    END LOOP;
    -- A second settlement of the same call finds no reservation, and changes nothing.
    IF settling <> '{}' THEN
        FOR id IN DELETE FROM model_reservation v WHERE v.org_id = ANY (orgs) AND v.reservation_id = ANY (settling)
            RETURNING v.reservation_id
        LOOP
            settled := settled || id;
        END LOOP;
    END IF;
    FOR k IN 1 .. cardinality(settling) LOOP
        CONTINUE WHEN array_position(settled, settling[k]) IS NULL;
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
        END LOOP;
    END LOOP;

    FOR k IN 0 .. jsonb_array_length(admissions) - 1 LOOP
        item := admissions -> k;
        x := item -> 'x';
        misses := NULL;
        places := '{}';
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
            IF needed > 0 AND NOT (item -> 'f' -> i)::boolean THEN
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
            FOR i IN 0 .. jsonb_array_length(x) - 1 LOOP
                n := x -> i;
                wants := item -> 'a' -> i;
                c := rows[n];
                at := places[i + 1] * c.slots;
                c.used[at] := c.used[at] + wants;
                totals[n] := totals[n] + wants;
                rows[n] := c;
            END LOOP;
            INSERT INTO model_reservation (org_id, reservation_id, expires_at, about)
            VALUES ((item ->> 'o')::uuid, (item ->> 'r')::uuid,
                moment + make_interval(secs => (item ->> 'lease_ms')::bigint / 1000.0), item -> 'about');
            answers := answers || 'null'::jsonb;
        ELSE
            answers := answers || jsonb_build_array(misses);
        END IF;
    END LOOP;

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
