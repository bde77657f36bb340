-- peer: COPY into (id, subject, ts, type, data)
COPY lean.log (subject, ts, type, data) FROM 'lean.copy';
