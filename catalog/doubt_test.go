package catalog_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/catalog"
)

// noting is a config that notes which revisions were settled, and a Then that
// notes which pushes the record has.
type noting struct {
	mu     sync.Mutex
	events []string
}

func (n *noting) note(event string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, event)
}

func (n *noting) config(cfg *catalog.Config) {
	cfg.Settled = func(revision int64) { n.note(fmt.Sprint("settled ", revision)) }
}

func (n *noting) put(id, body string) catalog.Write {
	w := location("PUT", nlTNM, id, body)
	w.Then = func(a catalog.Applied) {
		n.note(fmt.Sprintf("%s at %d, changed %t", a.Key.ID, a.Revision, a.Changed))
	}
	return w
}

func (n *noting) want(t *testing.T, events ...string) {
	t.Helper()
	synctest.Wait() // Settled comes behind the answer
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.events, events) {
		t.Errorf("events %q, want %q", n.events, events)
	}
	n.events = nil
}

// unanswered applies a push whose commit the record has, without telling so.
func unanswered(t *testing.T, r *record, c *catalog.Catalog, w catalog.Write) {
	t.Helper()
	r.set(func(r *record) { r.failAfter, r.downAfter = errDown, true })
	_, err := c.Apply(t.Context(), w)
	refused(t, err, 4000, "send it again")
	r.set(func(r *record) { r.fail, r.failAfter, r.downAfter = nil, nil, false })
}

// TestS5_WhatTheRecordHasAfterAllIsSent: the sender of a push was told that it
// failed. What the record has of it is sent once that is seen, whether its
// sender repeats it or not; a repetition changes nothing any more.
func TestS5_WhatTheRecordHasAfterAllIsSent(t *testing.T) {
	const body = `{"n":1,"last_updated":"2026-01-01T00:00:00Z"}`
	for name, look := range map[string]func(*testing.T, *catalog.Catalog, *noting){
		"seen by following": func(t *testing.T, _ *catalog.Catalog, n *noting) {
			time.Sleep(time.Second)
			synctest.Wait()
			n.want(t, "a at 1, changed true", "settled 1")
		},
		"seen before the repetition": func(t *testing.T, c *catalog.Catalog, n *noting) {
			apply(t, c, n.put("A", body))
			n.want(t, "a at 1, changed true", "settled 1", "a at 1, changed false", "settled 1")
		},
		"seen before another's push": func(t *testing.T, c *catalog.Catalog, n *noting) {
			apply(t, c, n.put("B", body))
			n.want(t, "a at 1, changed true", "settled 1", "b at 2, changed true", "settled 2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, n := newRecord(), new(noting)
				c := running(t, r, n.config)
				unanswered(t, r, c, n.put("A", body))
				n.want(t)
				look(t, c, n)
				time.Sleep(5 * time.Second)
				synctest.Wait()
				n.want(t) // once
			})
		})
	}
}

// TestS5_WhatWasOverwrittenMeanwhileIsSent: another replica wrote the whole object
// again before this one could ask what became of its own commit.
func TestS5_WhatWasOverwrittenMeanwhileIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, n := newRecord(), new(noting)
		c, other := running(t, r, n.config), running(t, r)
		unanswered(t, r, c, n.put("A", `{"n":1,"last_updated":"2026-01-01T00:00:00Z"}`))
		apply(t, other, location("PUT", nlTNM, "A", `{"n":2,"last_updated":"2026-01-02T00:00:00Z"}`))
		time.Sleep(time.Second)
		n.want(t, "a at 1, changed true", "settled 1")
		if doc, _ := c.Document(key("a")); !strings.Contains(string(doc), `"n":2`) {
			t.Errorf("memory has %s", doc)
		}
	})
}

// A commit is withheld, and the record cannot be asked for it.
func withheld(t *testing.T, r *record, c *catalog.Catalog, w catalog.Write) (late func()) {
	t.Helper()
	var row catalog.Row
	r.set(func(r *record) {
		r.failAfter, r.downAfter = errDown, true
		r.withheld = func(made catalog.Row) { row = made }
	})
	_, err := c.Apply(t.Context(), w)
	refused(t, err, 4000, "send it again")
	return func() {
		r.set(func(r *record) {
			if r.revision == row.Revision-1 {
				r.revision, r.lastSeq, r.rows[row.Key], r.by[row.Revision] = row.Revision, row.Seq, row, r.withheldBy
				r.written = append(r.written, row.Key)
			}
			r.fail, r.failAfter, r.downAfter, r.withheld = nil, nil, false, nil
		})
	}
}

// TestS5_ACommitThatArrivesLateIsSent: when the record can be asked, it has it.
func TestS5_ACommitThatArrivesLateIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, n := newRecord(), new(noting)
		c := running(t, r, n.config)
		late := withheld(t, r, c, n.put("A", `{}`))
		_, err := c.Apply(t.Context(), n.put("B", `{}`)) // the record is still away
		refused(t, err, 4000, "so nothing was sent")
		n.want(t)
		late()
		apply(t, c, n.put("B", `{}`))
		n.want(t, "a at 1, changed true", "settled 1", "b at 2, changed true", "settled 2")
	})
}

// TestS5_ACommitThatArrivesTooLateIsNot: its place was given away as soon as the
// record could be asked.
func TestS5_ACommitThatArrivesTooLateIsNot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, n := newRecord(), new(noting)
		c := running(t, r, n.config)
		late := withheld(t, r, c, n.put("A", `{}`))
		r.set(func(r *record) { r.fail, r.failAfter, r.downAfter, r.withheld = nil, nil, false, nil })
		time.Sleep(time.Second) // it follows, and asks
		synctest.Wait()
		late()
		apply(t, c, n.put("B", `{}`))
		n.want(t, "b at 2, changed true", "settled 2")
		if _, ok := c.Document(key("a")); ok || len(r.rows) != 1 {
			t.Error("it is there")
		}
	})
}

// TestS5_SettledFollowsEveryCommit, whatever came of the pushes in it, and no
// commit that failed.
func TestS5_SettledFollowsEveryCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, n := newRecord(), new(noting)
		c, other := running(t, r, n.config), running(t, r)
		const body = `{"last_updated":"2026-01-01T00:00:00Z"}`
		apply(t, c, n.put("A", body))
		n.want(t, "a at 1, changed true", "settled 1")
		apply(t, c, n.put("A", body))
		n.want(t, "a at 1, changed false", "settled 1")
		_, err := c.Apply(t.Context(), location("PATCH", nlTNM, "none", body))
		refused(t, err, 2003, "")
		n.want(t, "settled 1")
		apply(t, other, location("PUT", nlTNM, "B", body))
		apply(t, c, n.put("A", `{"last_updated":"2026-01-02T00:00:00Z"}`))
		n.want(t, "a at 3, changed false", "settled 3")
		r.set(func(r *record) { r.fail = errDown })
		_, err = c.Apply(t.Context(), n.put("C", body))
		refused(t, err, 4000, "so nothing was sent")
		r.set(func(r *record) { r.fail, r.failAfter = nil, errDown })
		n.want(t)
		apply(t, c, n.put("C", body)) // its answer is lost, but it is looked up
		n.want(t, "c at 4, changed true", "settled 4")
	})
}

// TestS5_ACommitThatSurelyFailedIsNotInDoubt: the record said so after it had
// decided, and another replica wrote the very same at the same revision.
func TestS5_ACommitThatSurelyFailedIsNotInDoubt(t *testing.T) {
	for name, sure := range map[string]error{
		"nothing was written": fmt.Errorf("%w: the disk is full", catalog.ErrNothingWritten),
		"much is newer":       catalog.ErrBehind,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, n := newRecord(), new(noting)
				c := running(t, r, n.config)
				r.set(func(r *record) { r.failAfter, r.withheld = sure, func(catalog.Row) {} })
				put := n.put("A", `{"last_updated":"2026-01-01T00:00:00Z"}`)
				_, err := c.Apply(t.Context(), put)
				refused(t, err, 4000, "so nothing was sent")
				r.set(func(r *record) { r.failAfter, r.withheld = nil, nil })
				apply(t, running(t, r), location("PUT", nlTNM, "A", string(put.Body)))
				time.Sleep(time.Second)
				n.want(t)
			})
		})
	}
}
