package routing

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

// TestP4_ARecordThatIsDownIsLoggedOnce, though it refuses each push.
func TestP4_ARecordThatIsDownIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		record := newOutboxRecord()
		o := newOutbox(&pending{}, record)
		var lines bytes.Buffer
		o.refusal.log = slog.New(slog.NewTextHandler(&lines, nil))
		record.fails["save"] = 3
		for turn := range 5 {
			err := o.Accept(t.Context(), &Broadcast{})
			synctest.Wait()
			if refused := err != nil; refused != (turn < 3) {
				t.Errorf("push %d: %v", turn, err)
			}
		}
		if warned, over := strings.Count(lines.String(), "level=WARN"), strings.Count(lines.String(), "works again"); warned != 1 || over != 1 {
			t.Errorf("the log is\n%s", &lines)
		}
	})
}
