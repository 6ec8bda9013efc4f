package sqldb

import (
	"reflect"
	"slices"
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
	into := "INSERT INTO " + table + " " + names(columns) + " "
	if tx.Name() == "postgres" {
		return insertArrays(tx, into, columns, conflict)
	}
	return insertEach(tx, into, columns, conflict)
}

// insertArrays is one statement with an array for each column. Its text does not
// depend on the number of rows, so it is parsed once for all batches. gorm would
// take the arrays apart; they go past it.
func insertArrays(tx *gorm.DB, into string, columns []column, conflict string) error {
	statement := into + "SELECT * FROM " + unnest(columns, 0) + " " + conflict
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, statement, arrays(columns)...)
	return err
}

// unnest makes rows of arrays, which are the parameters behind so many others.
func unnest(columns []column, behind int) string {
	parameters := make([]string, len(columns))
	for i, c := range columns {
		parameters[i] = "$" + strconv.Itoa(behind+i+1) + "::" + c.kind + "[]"
	}
	return "unnest(" + strings.Join(parameters, ", ") + ")"
}

func arrays(columns []column) []any {
	values := make([]any, len(columns))
	for i, c := range columns {
		values[i] = c.values
	}
	return values
}

// names are those of columns, for an INSERT.
func names(columns []column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.name
	}
	return "(" + strings.Join(list, ", ") + ")"
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

// rising are the numbers in order, each once.
func rising(numbers []int64) []int64 {
	sorted := slices.Clone(numbers)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
