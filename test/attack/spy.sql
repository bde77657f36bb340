-- What a role plants are calls of these functions: they say in the log whose
-- code ran where, and as whom.  Run by the role, whose schema has its name.

SELECT current_user AS me \gset
SET search_path = :me, pg_catalog;

-- IMMUTABLE, so that they may be planted anywhere: the first runs when a
-- statement is planned or a relation is opened, the second with a row.
SELECT format($sql$
	CREATE FUNCTION spy(place text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		RAISE LOG 'SPY author=%1$s user=%% session=%% place=%%', current_user, session_user, place;
		RETURN true;
	END $$;
	CREATE FUNCTION spy(place text, value boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
		RAISE LOG 'SPY author=%1$s user=%% session=%% place=%%', current_user, session_user, place;
		RETURN true;
	END $$;
	CREATE FUNCTION spy_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		RAISE LOG 'SPY author=%1$s user=%% session=%% place=%%: %% %% %% trigger', current_user, session_user,
			tg_table_name, tg_when, tg_op, tg_level;
		IF tg_op OPERATOR(pg_catalog.=) 'DELETE' THEN RETURN OLD; END IF;
		RETURN NEW;
	END $$;
$sql$, current_user) \gexec
