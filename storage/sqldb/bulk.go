package sqldb

import (
	"reflect"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// column is one column of many rows that are written at once.
type column struct {
	name string
	// kind is its type on Postgres.
	kind string
	// values is a slice, as long as those of the other columns.
	values any
}

// insertMany inserts rows in their order; conflict is what becomes of those that
// are there already.
func insertMany(tx *gorm.DB, table string, columns []column, conflict string) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	into := "INSERT INTO " + table + " (" + strings.Join(names, ", ") + ") "
	if tx.Name() == "postgres" {
		return insertArrays(tx, into, columns, conflict)
	}
	return insertEach(tx, into, columns, conflict)
}

// insertArrays is one statement with an array for each column. Its text does not
// depend on the number of rows, so it is parsed once for all batches. gorm would
// take the arrays apart; they go past it.
func insertArrays(tx *gorm.DB, into string, columns []column, conflict string) error {
	arrays, arguments := make([]string, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		arrays[i], arguments[i] = "$"+strconv.Itoa(i+1)+"::"+c.kind+"[]", c.values
	}
	statement := into + "SELECT * FROM unnest(" + strings.Join(arrays, ", ") + ") " + conflict
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, statement, arguments...)
	return err
}

// insertEach executes a prepared statement for each row: SQLite knows no arrays,
// and has no way to go.
func insertEach(tx *gorm.DB, into string, columns []column, conflict string) error {
	ctx := tx.Statement.Context
	statement := into + "VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ") " + conflict
	prepared, err := tx.Statement.ConnPool.PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer prepared.Close()
	values, arguments := make([]reflect.Value, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		values[i] = reflect.ValueOf(c.values)
	}
	for row := range values[0].Len() {
		for i := range columns {
			arguments[i] = values[i].Index(row).Interface()
		}
		if _, err := prepared.ExecContext(ctx, arguments...); err != nil {
			return err
		}
	}
	return nil
}
