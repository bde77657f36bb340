SELECT count(*) FROM nvent.stream_append_many((SELECT appends FROM lean.appends WHERE client = :client_id));
