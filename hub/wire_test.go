package hub_test

import (
	"testing"

	"busbar/hub/hubtest"
)

// TestWire plays the conversations in testdata/wire, each named after the item
// of the protocol checklist that it proves.
func TestWire(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, "testdata/wire")
}
