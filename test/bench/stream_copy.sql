COPY nvent_stream_log (subject, ts, type, data) FROM 'events.copy';
