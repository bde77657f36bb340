# replay.awk: turns a dpkg.log into calls of nvent_store, one SQL statement
# per line of the log, hence one transaction each.
#
# A run is what happened to one package from an action (install, upgrade,
# remove, ...) to its end.  "configure" and "trigproc" continue a run that is
# open.  dpkg may note a status before the action that it belongs to, so a run
# can open without a name; all lines are read before the first is written.
#
# Run as: awk -f replay.awk -v ttl='1 hour' dpkg.log > replay.sql

$3 == "status" && NF >= 6 {
	add($5)
	status(NR, $4, $6)
}

$3 ~ /^(install|upgrade|configure|remove|purge|trigproc|disappear)$/ {
	add($4)
	action(NR, $3, $5, $6)
}

END {
	for (i = 1; i <= lines; i++)
		emit(line[i])
}

# Note the line and the package that it is about.
function add(name) {
	line[++lines] = NR
	package[NR] = name
	when[NR] = milliseconds($1, $2)
}

# The log has local time without a zone; we take it as it stands.
function milliseconds(day, time,    d, t, y, m, era) {
	split(day, d, "-")
	split(time, t, ":")
	y = d[1]
	m = d[2]
	if (m <= 2)
		y--
	era = int(y / 400)
	y -= era * 400
	m = (m + 9) % 12
	return ((era * 146097 + y * 365 + int(y / 4) - int(y / 100) \
		+ int((153 * m + 2) / 5) + d[3] - 719469) * 86400 \
		+ t[1] * 3600 + t[2] * 60 + t[3]) "000"
}

# Open a run of the line's package; flow may be unknown as yet.
function open(nr, flow) {
	current[package[nr]] = ++runs
	run_flow[runs] = flow
	run_id[runs] = package[nr] ":" runs
	starts[nr] = runs
	return runs
}

function close_run(nr, run, outcome) {
	ends[nr] = run
	run_outcome[run] = outcome
	last[package[nr]] = run
	delete current[package[nr]]
}

function action(nr, verb, old, new,    run) {
	run = (package[nr] in current) ? current[package[nr]] : 0
	if (run && run_flow[run] == "") {
		run_flow[run] = verb
	} else if (run && verb ~ /^(configure|trigproc)$/) {
		if (verb == "configure" && phase[run] == "configure")
			attempt[run]++
	} else {
		# What was still open is never going to be finished.
		if (run)
			close_run(nr, run, "failure")
		run = open(nr, verb)
	}
	phase[run] = verb
	if (!(run in attempt))
		attempt[run] = 1
	if (verb ~ /^(install|upgrade)$/)
		target[run] = new
}

function status(nr, state, version,    name, run) {
	name = package[nr]
	state_of[nr] = state
	version_of[nr] = version
	if (name in current)
		run = current[name]
	else if (state == "not-installed" && (name in last) \
			&& run_flow[last[name]] ~ /^(remove|purge)$/)
		run = last[name]
	else
		run = open(nr, "")
	run_of[nr] = run
	step_of[nr] = phase[run]
	attempt_of[nr] = (run in attempt) ? attempt[run] : 1
	seen[run]++
	if (!(name in current))
		return
	if (run_flow[run] == "") {
		# "installed" before a removal opens a run, after that it ends one.
		if (state == "installed" && seen[run] > 1)
			close_run(nr, run, "success")
	} else if (run_flow[run] ~ /^(remove|purge|disappear)$/) {
		if (state ~ /^(config-files|not-installed)$/)
			close_run(nr, run, "success")
		else if (state == "installed")
			close_run(nr, run, "failure")
	} else if (state == "installed") {
		close_run(nr, run, \
			(run in target) && target[run] != version ? "failure" : "success")
	} else if (state ~ /^(config-files|not-installed)$/) {
		close_run(nr, run, "failure")
	}
}

# --- Writing. ---

function quote(text) {
	gsub(/'/, "''", text)
	return "'" text "'"
}

function json(text) {
	gsub(/\\/, "\\\\", text)
	gsub(/"/, "\\\"", text)
	return "\"" text "\""
}

# A run that nothing named was opened by a trigger.
function flow_of(run) {
	return run_flow[run] == "" ? "trigproc" : run_flow[run]
}

function call(text) {
	statement = statement (statement == "" ? "SELECT " : ",\n\t") "nvent." text
	calls++
}

function count(run, field, by) {
	call("entry_increment('nvent:flows', " quote(flow_of(run)) ", 'stats." \
		field "', " by ")")
}

function emit(nr) {
	statement = ""
	if (nr in ends && run_outcome[ends[nr]] == "failure" && !(nr in run_of))
		update(nr, ends[nr], "")
	if (nr in starts)
		start(nr, starts[nr])
	if (nr in run_of)
		event(nr, run_of[nr])
	if (statement != "")
		print statement ";"
	if (i == lines || int(i * 10 / lines) > shown) {
		shown = int(i * 10 / lines)
		printf "\\warn '%5d %% %8d lines'\n", i * 100 / lines, i
	}
}

function start(nr, run,    flow) {
	flow = flow_of(run)
	if (!(flow in known)) {
		known[flow] = 1
		call("entry_add('nvent:flows', " quote(flow) ", " when[nr] ", " \
			quote("{" json("displayName") ": " json("dpkg " flow) \
			", \"registeredAt\": " when[nr] "}") ")")
	}
	call("entry_add(" quote("nvent:flow:runs:" flow) ", " \
		quote(run_id[run]) ", " when[nr] ", " \
		quote("{\"status\": \"running\", \"startedAt\": " when[nr] \
			", \"package\": " json(package[nr]) "}") ")")
	count(run, "total", 1)
	count(run, "running", 1)
}

# The entry of the run follows each status; "" is for no new one.
function update(nr, run, state,    doc) {
	doc = "\"lastActivityAt\": " when[nr]
	if (state != "")
		doc = doc ", \"completedSteps\": " ++steps[run] \
			", \"emittedEvents\": {" json(state) ": " when[nr] "}" \
			", \"packageVersion\": " json(version_of[nr])
	if (nr in ends && ends[nr] == run)
		doc = doc ", \"completedAt\": " when[nr] ", \"status\": " \
			(run_outcome[run] == "success" ? "\"completed\"" : "\"failed\"")
	call("entry_update(" quote("nvent:flow:runs:" flow_of(run)) ", " \
		quote(run_id[run]) ", " quote("{" doc "}") ")")
	if (nr in ends && ends[nr] == run) {
		count(run, "running", -1)
		count(run, run_outcome[run], 1)
	}
}

function event(nr, run,    doc) {
	doc = "{\"type\": " json(state_of[nr]) ", \"ts\": " when[nr] \
		", \"flowName\": " json(flow_of(run)) \
		", \"stepName\": " json(step_of[nr] == "" ? "trigger" : step_of[nr]) \
		", \"attempt\": " attempt_of[nr] \
		", \"data\": {\"package\": " json(package[nr]) \
		", \"version\": " json(version_of[nr]) "}}"
	call("stream_append(" quote("nvent:flow:run:" run_id[run]) ", " \
		quote(doc) ")")
	update(nr, run, state_of[nr])
	call("kv_set(" quote("nvent:pkg:" package[nr]) ", " \
		quote("{\"state\": " json(state_of[nr]) ", \"version\": " \
			json(version_of[nr]) "}") ", " quote(ttl) ")")
}
