-- Who may write a store's consumers gives one the pattern of another store, and
-- waits for somebody with more rights to fetch.
\c - writer
UPDATE shop.shop_consumers SET pattern = 'views:>', prefix = 'views:', position = 0, mark = 1000, initialized = true;
INSERT INTO shop.shop_consumers (name, pattern, prefix, mark, initialized) VALUES ('w', 'views:order:>', 'views:order:', 1000, true), ('x', '>', '', 1000, true);
\c - root
SELECT * FROM nvent.consumer_fetch(store => 'shop');
SELECT nvent.consumer_correlate(store => 'shop');
SELECT * FROM nvent.consumer_list(store => 'shop');
SELECT 'held';
