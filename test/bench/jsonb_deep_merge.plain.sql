-- peer: a recursive PL/pgSQL function of jsonb_set
SELECT count(adapter.deep_merge(doc, patch)) FROM bench_document, generate_series(1, 100);
