SELECT count(peer.deep_merge(doc, patch)) FROM peer.document, generate_series(1, 100);
