SELECT next_cursor AS cursor FROM nvent.stream_poll(:hotsubject, :cursor) \gset
