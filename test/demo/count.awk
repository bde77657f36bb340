# count.awk: counts a dpkg.log plainly, for comparison with what the store
# counted.  Knows nothing of runs: an installation succeeded when the package
# got to be installed in the version named, before another action on it.

$3 == "status" && NF >= 6 {
	figure["events"]++
	figure["events " $4]++
	if (!($5 in seen)) {
		seen[$5] = 1
		figure["packages"]++
	}
	if (!($5 in wanted))
		next
	if ($4 == "installed" && wanted[$5] == $6 \
			|| $4 ~ /^(config-files|not-installed)$/ && wanted[$5] == "<none>") {
		figure["success " doing[$5]]++
		delete wanted[$5]
	} else if ($4 ~ /^(installed|config-files|not-installed)$/) {
		delete wanted[$5]
	}
}

$3 ~ /^(install|upgrade|remove|purge|disappear)$/ {
	figure["runs " $3]++
	figure["success " $3] += 0
	doing[$4] = $3
	wanted[$4] = $6
}

END {
	for (name in figure)
		print name "|" figure[name]
}
