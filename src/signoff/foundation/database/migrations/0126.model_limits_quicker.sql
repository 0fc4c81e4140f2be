-- depends: 0001.foundation 0121.model_limits
-- Admissions in two thirds of the time: rows are looked up by their keys one after the other, in the order in which they
-- are locked, and lists are read as arrays rather than by a query each.

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
    moment timestamptz := coalesce(now_is, clock_timestamp());
    moment_ms bigint := (extract(epoch FROM moment) * 1000)::bigint;
    wanted integer := jsonb_array_length(counters);
    rows model_limit_use[] := '{}';
    lengths bigint[] := '{}';
    totals bigint[] := '{}';
    c model_limit_use;
    slot_ms bigint;
    slot_now bigint;
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
    -- Each is made or locked before the next one is touched, so that no two of these wait for each other.
    FOR item IN SELECT w FROM jsonb_array_elements(counters) AS w LOOP
        slot_ms := (item ->> 'ms')::bigint;
        slot_now := signoff_limit_slot(moment, slot_ms);
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
        rows := rows || c;
        lengths := lengths || slot_ms;
        totals := totals || coalesce((SELECT sum(u) FROM unnest(c.used) AS u), 0)::bigint;
    END LOOP;

    -- A second settlement of the same call finds no reservation, and changes nothing.
    WITH gone AS (
        DELETE FROM model_reservation v USING jsonb_array_elements(settlements) AS s
        WHERE v.org_id = (s ->> 'o')::uuid AND v.reservation_id = (s ->> 'r')::uuid
        RETURNING v.reservation_id
    )
    SELECT coalesce(array_agg(reservation_id), '{}') INTO settled FROM gone;
    FOR item IN SELECT s FROM jsonb_array_elements(settlements) AS s WHERE (s ->> 'r')::uuid = ANY (settled) LOOP
        x := translate(item ->> 'x', '[]', '{}')::int[];
        amounts := translate(item ->> 'd', '[]', '{}')::bigint[];
        slots := translate(item ->> 't', '[]', '{}')::bigint[];
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
        x := translate(item ->> 'x', '[]', '{}')::int[];
        amounts := translate(item ->> 'a', '[]', '{}')::bigint[];
        most := translate(item ->> 'm', '[]', '{}')::bigint[];
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
