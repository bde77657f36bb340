SELECT count(nvent.jsonb_deep_merge(doc, patch)) FROM bench_document, generate_series(1, 100);
