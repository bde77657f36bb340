BEGIN;
TRUNCATE nvent_stream_load;
COPY nvent_stream_load (subject, version, ts, type, data) FROM PROGRAM 'awk -F "\t" -v OFS="\t" ''{ $1 = $1 OFS (++version[$1]) } 1'' number.copy';
COMMIT;
