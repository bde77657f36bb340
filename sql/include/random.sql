\set ECHO none
-- What tests need that do things by chance, by :seed, which is fixed: it is said
-- and set, and test.scale is how many times more they are to do than they would,
-- by NVS_TEST_SCALE in the environment.
\getenv scale NVS_TEST_SCALE
\if :{?scale}
\else
\set scale 1
\endif
\echo seed :seed
SET test.scale = :scale;
SELECT setseed(:seed);
\set ECHO all
