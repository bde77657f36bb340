// Go with database/sql and lib/pq: an append, a conflict, and what is to be read.
// With Debian's packages: GO111MODULE=off GOPATH=/usr/share/gocode go run .
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"log"

	"github.com/lib/pq"
)

func main() {
	db, err := sql.Open("postgres", "dbname=shop sslmode=disable") // Go: database/sql, lib/pq
	check(err)
	var version int64
	err = db.QueryRow("SELECT nvent.stream_append($1, $2, $3) ->> 'version'",
		"order:17", `{"type": "placed"}`, 0).Scan(&version) // jsonb is text, or bytes
	var refused *pq.Error
	if errors.As(err, &refused) && refused.Code == "NV001" {
		fmt.Println(refused.Code, refused.Detail) // {"subject": "order:17", "expected": 0, "actual": 1}
	} else if check(err); err == nil {
		fmt.Println(version)
	}
	var cursor int64
	var events pq.StringArray // or a row for each: FROM nvent.stream_poll(...) p, unnest(p.events) e
	check(db.QueryRow("SELECT * FROM nvent.stream_poll('order:>', $1)", 0).Scan(&cursor, &events))
	fmt.Println(len(events) > 0, cursor > 0)
}

// check ends the program at an error.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
