-- Anybody could have all sessions read the registry again with each statement,
-- by the registry's trigger on a table of his own.
\c - stranger
CREATE TABLE stranger.t ();
CREATE TRIGGER t AFTER INSERT ON stranger.t EXECUTE FUNCTION nvent.registry_changed();
SELECT CASE WHEN :'ERROR' THEN 'held' ELSE 'the trigger can be had' END;
