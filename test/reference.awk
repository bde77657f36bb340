# test/reference.awk: README.md's function reference, from what readme.sh says
# of each function: tab-separated lines, all of one function together.
#
#	F  family  name  result       a function; its result is empty for a procedure
#	A  name  type  default        an argument
#	O  name  type                 a column of the result
#	C  text                       a line of the comment
#
# A comment is a summary of one sentence, notes, and sections that begin with
# their name and a colon, in the order below.  Arguments, Columns and Raises are
# lists of "name: text", indented by two; lines indented by more go on.  Exits
# with 1, and says why, when a comment is not of this form or does not describe
# every argument, the result and an example.

BEGIN {
	FS = "\t"
	split("Arguments Returns Columns Raises Locks Example", order, " ")
	for (i = 1; i in order; i++)
		rank[order[i]] = i
	width = 120
}

$1 == "F" { start() }
$1 == "A" { names[nf, ++nargs[nf]] = $2; types[nf, nargs[nf]] = $3; defaults[nf, nargs[nf]] = $4 }
$1 == "O" { cnames[nf, ++ncols[nf]] = $2; ctypes[nf, ncols[nf]] = $3 }
$1 == "C" { comment(substr($0, 3)) }

END {
	if (nf == 0)
		fail("no functions")
	for (f = 1; f <= nf; f++)
		check(f)
	if (failed)
		exit 1
	overview()
	for (f = 1; f <= nf; f++)
		show(f)
}

# fail MESSAGE: say what is wrong, go on to find more.
function fail(message)
{
	print "reference: " message | "cat >&2"
	failed = 1
}

# start: a function begins; its comment begins with the summary.
function start()
{
	nf++
	family[nf] = $2
	name[nf] = $3
	result[nf] = $4
	known[$3] = 1
	section = "Summary"
}

# comment LINE: take a line of the comment apart.
function comment(line,    key, colon)
{
	if (line ~ /^[A-Z][a-z]+:$/)
	{
		key = substr(line, 1, length(line) - 1)
		if (!(key in rank))
			fail(name[nf] ": unknown section " key)
		if (section in rank && rank[section] >= rank[key])
			fail(name[nf] ": section " key " comes too late")
		section = key
		has[nf, key] = 1
	}
	else if (section == "Summary" && line == "")
		section = "Notes"
	else if (section == "Example")
		text[nf, section] = text[nf, section] substr(line, 3) "\n"
	else if (section == "Summary" || section == "Notes")
		text[nf, section] = join(text[nf, section], line == "" ? "\n" : line)
	else if (section == "Returns" || section == "Locks" || line ~ /^    /)
	{
		sub(/^ +/, "", line)
		if (section == "Returns" || section == "Locks")
			text[nf, section] = join(text[nf, section], line)
		else
			items[nf, section, count[nf, section]] = \
				join(items[nf, section, count[nf, section]], line)
	}
	else
	{
		colon = index(line, ": ")
		if (line !~ /^  [^ ]/ || colon == 0)
			fail(name[nf] ": no item of a list: " line)
		keys[nf, section, ++count[nf, section]] = substr(line, 3, colon - 3)
		items[nf, section, count[nf, section]] = substr(line, colon + 2)
	}
}

# join A B: A and B with a blank between; a newline begins a paragraph.
function join(a, b)
{
	return a == "" || b == "\n" || a ~ /\n$/ ? a b : a " " b
}

# check F: does the comment describe all that there is?
function check(f,    i, n)
{
	if (text[f, "Summary"] !~ /\.$/)
		fail(name[f] ": no summary of one sentence")
	n = count[f, "Arguments"] + 0
	if (n != nargs[f] + 0)
		fail(name[f] ": describes " n " of " nargs[f] + 0 " arguments")
	for (i = 1; i <= n; i++)
		if (keys[f, "Arguments", i] != names[f, i])
			fail(name[f] ": describes " keys[f, "Arguments", i] ", not " names[f, i])
	check_columns(f)
	for (i = 1; i <= count[f, "Raises"]; i++)
		if (keys[f, "Raises", i] !~ /^[0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]$/)
			fail(name[f] ": " keys[f, "Raises", i] " is no SQLSTATE")
	if (result[f] != "" && result[f] != "void" && !((f, "Returns") in has))
		fail(name[f] ": does not say what it returns")
	if (!((f, "Example") in has))
		fail(name[f] ": has no example")
}

# check_columns F: all columns in order; "this and all others" stands for any.
function check_columns(f,    i, n, c)
{
	n = count[f, "Columns"] + 0
	c = 1
	for (i = 1; i <= n; i++)
	{
		while (any && c <= ncols[f] && cnames[f, c] != keys[f, "Columns", i])
			c++
		if (cnames[f, c] != keys[f, "Columns", i])
			fail(name[f] ": describes column " keys[f, "Columns", i] ", not " cnames[f, c])
		c++
		any = items[f, "Columns", i] ~ /^this and all others/
	}
	if (!any && c <= ncols[f] + 0)
		fail(name[f] ": does not describe column " cnames[f, c])
	any = 0
}

# overview: a table of all functions, by family.
function overview(    f, line)
{
	print "\n| family | functions |\n|---|---|"
	for (f = 1; f <= nf; f++)
	{
		if (f == 1 || family[f] != family[f - 1])
			line = "| " family[f] " | "
		else
			line = line ", "
		line = line link(name[f])
		if (f == nf || family[f + 1] != family[f])
			print line " |"
	}
}

# show F: a function's part of the reference.
function show(f,    i)
{
	if (f == 1 || family[f] != family[f - 1])
		print "\n### " family[f]
	print "\n#### `" name[f] "`\n\n```pgsql\n" signature(f) "\n```\n"
	paragraph(text[f, "Summary"], "")
	if (text[f, "Notes"] != "")
		paragraphs(text[f, "Notes"])
	if (nargs[f] > 0)
	{
		print ""
		for (i = 1; i <= nargs[f]; i++)
			item("`" names[f, i] "`", items[f, "Arguments", i])
	}
	if ((f, "Returns") in has)
		paragraph("\nReturns " text[f, "Returns"] (ncols[f] > 0 ? ":" : "."), "")
	if (ncols[f] > 0)
	{
		print ""
		for (i = 1; i <= count[f, "Columns"]; i++)
			item("`" keys[f, "Columns", i] "` " type_of(f, keys[f, "Columns", i]), \
				items[f, "Columns", i])
	}
	if (count[f, "Raises"] > 0)
	{
		print "\nRaises:\n"
		for (i = 1; i <= count[f, "Raises"]; i++)
			item("`" keys[f, "Raises", i] "`", items[f, "Raises", i])
	}
	if ((f, "Locks") in has)
		paragraph("\nLocks " text[f, "Locks"] ".", "")
	print "\n```pgsql\n" text[f, "Example"] "```"
}

# signature F: the call, on one line where it fits.
function signature(f,    i, line, part, long)
{
	for (i = 1; i <= nargs[f]; i++)
	{
		part = names[f, i] " " types[f, i] (defaults[f, i] == "" ? "" : " DEFAULT " defaults[f, i])
		line = line (i > 1 ? ", " : "") part
		long = long (i > 1 ? ",\n    " : "\n    ") part
	}
	part = result[f] == "" ? "" : " returns " result[f]
	line = (result[f] == "" ? "CALL " : "") "nvent." name[f] "(" line ")" part
	if (length(line) <= 100)
		return line
	return (result[f] == "" ? "CALL " : "") "nvent." name[f] "(" long "\n)" part
}

# type_of F COLUMN: the type of a column of the result.
function type_of(f, column,    i)
{
	for (i = 1; i <= ncols[f]; i++)
		if (cnames[f, i] == column)
			return ctypes[f, i]
}

# item HEAD TEXT: an item of a list.
function item(head, body)
{
	wrap("- " head ": " marked(body), "  ")
}

# paragraphs TEXT: each in lines of its own, with a blank line before.
function paragraphs(body,    parts, n, i)
{
	n = split(body, parts, "\n")
	for (i = 1; i <= n; i++)
		if (parts[i] != "")
			paragraph("\n" parts[i], "")
}

# paragraph TEXT INDENT: a paragraph in lines.
function paragraph(body, indent)
{
	if (body ~ /^\n/)
		print ""
	sub(/^\n/, "", body)
	wrap(marked(body), indent)
}

# wrap TEXT INDENT: print it in lines; what stands in backticks is not broken.
function wrap(body, indent,    words, n, i, line, word, ticks)
{
	n = split(body, words, " ")
	for (i = 1; i <= n; i++)
	{
		word = words[i]
		while (gsub(/`/, "`", word) % 2 == 1 && i < n)
			word = word " " words[++i]
		if (line != "" && length(line) + 1 + length(word) > width)
		{
			print line
			line = indent word
		}
		else
			line = line == "" ? word : line " " word
	}
	print line
}

# link NAME: a link to a function of the reference.
function link(function_name)
{
	return "[`" function_name "`](#" function_name ")"
}

# marked TEXT: with code as code: what is in double quotes or in brackets, and
# names with a "_" or of ours; those of functions become links.
function marked(body,    out, c, end, word, before)
{
	while (body != "")
	{
		c = substr(body, 1, 1)
		if (c == "\"")
		{
			end = index(substr(body, 2), "\"")
			word = substr(body, 2, end - 1)
			out = out "`" (word == "" ? "\"\"" : word) "`"
			body = substr(body, end + 2)
		}
		else if (c == "{" || c == "[")
		{
			end = closing(body)
			out = out "`" substr(body, 1, end) "`"
			body = substr(body, end + 1)
		}
		else if (before !~ /[A-Za-z0-9_]/ && match(body, /^nvent(_store)?\.[a-z_]+/))
		{
			word = substr(body, 1, RLENGTH)
			body = substr(body, RLENGTH + 1)
			sub(/^\(\)/, "", body)
			out = out (substr(word, 7) in known ? link(substr(word, 7)) : "`" word "`")
		}
		else if (before !~ /[A-Za-z0-9_]/ && match(body, /^[a-z]+(_[a-z]+)+/))
		{
			out = out "`" substr(body, 1, RLENGTH) "`"
			body = substr(body, RLENGTH + 1)
		}
		else
		{
			out = out (c == "*" ? "\\*" : c)
			body = substr(body, 2)
		}
		before = c
	}
	return out
}

# closing TEXT: where the bracket that it begins with is closed.
function closing(body,    i, c, depth)
{
	for (i = 1; i <= length(body); i++)
	{
		c = substr(body, i, 1)
		depth += (c == "{" || c == "[") - (c == "}" || c == "]")
		if (depth == 0)
			return i
	}
	fail("bracket is not closed: " body)
	return length(body)
}
