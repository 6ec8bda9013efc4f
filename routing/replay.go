package routing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
	"busbar/parties"
)

const (
	// markEvery is how often the mark is saved while it moves: so much is sent
	// twice after a crash.
	markEvery = time.Second
	// markTimeout bounds one question to the record.
	markTimeout = 15 * time.Second
	// replayAgain is the pause after a replay that failed.
	replayAgain = 2 * time.Second
)

// MarksConfig wires Marks.
type MarksConfig struct {
	Store MarkStore
	// Record tells what changed.
	Record interface {
		Revision(ctx context.Context) (int64, error)
		Since(ctx context.Context, revision int64) ([]catalog.Row, int64, error)
	}
	Directory *parties.Directory
	// Logger hears of what is sent again, and of failures.
	Logger *slog.Logger
}

// NewMarks reads how far the broadcasts had come when the last process ended. It
// is to be called before the catalog takes pushes. A record without a mark is
// that of a hub which had none: nothing is sent again.
func NewMarks(ctx context.Context, cfg MarksConfig) (*Marks, error) {
	m := &Marks{cfg: cfg}
	revision, err := cfg.Record.Revision(ctx)
	if err != nil {
		return nil, err
	}
	mark, saved, err := cfg.Store.Mark(ctx)
	if err != nil {
		return nil, err
	}
	if !saved {
		if err := cfg.Store.SaveMark(ctx, revision); err != nil {
			return nil, err
		}
		mark = revision
	}
	m.saved, m.settled = mark, revision
	m.from, m.upTo = min(mark, revision), revision
	if m.from < m.upTo {
		m.begin(m.from + 1) // until all is appended
	}
	return m, nil
}

// Run sends again what the last process left unsent, once ready is closed: the
// catalog is complete. Then it saves the mark while it moves, until ctx ends.
func (m *Marks) Run(ctx context.Context, ready <-chan struct{}, log BroadcastLog) {
	if m == nil {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-ready:
	}
	if !m.replay(ctx, log) {
		return
	}
	tick := time.NewTicker(markEvery)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := m.Save(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			m.cfg.Logger.Warn("save how far the broadcasts have come; a crash would repeat more", "error", err)
		}
		failing = err != nil
	}
}

// Save saves the mark if it has moved. After Run it is called once the Fanout has
// stopped.
func (m *Marks) Save(ctx context.Context) error {
	if m == nil {
		return nil
	}
	mark := m.mark()
	if mark == m.saved {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	if err := m.cfg.Store.SaveMark(ctx, mark); err != nil {
		return err
	}
	m.saved = mark
	return nil
}

// replay tries until everything is appended or ctx ends.
func (m *Marks) replay(ctx context.Context, log BroadcastLog) bool {
	if m.from >= m.upTo {
		return true
	}
	objects, at := 0, m.from
	for {
		n, reached, err := m.replayFrom(ctx, at, log)
		objects, at = objects+n, reached
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return false
		}
		m.cfg.Logger.Warn("read what may not have reached every receiver; trying again", "error", err, "in", replayAgain)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(replayAgain):
		}
	}
	m.cfg.Logger.Info("sent again what may not have reached every receiver before the hub ended",
		"objects", objects, "after_revision", m.from, "revision", m.upTo)
	m.end(m.from + 1)
	return true
}

// replayFrom appends what changed after a revision, by rising revision, and tells
// how far it came.
func (m *Marks) replayFrom(ctx context.Context, at int64, log BroadcastLog) (objects int, reached int64, err error) {
	for at < m.upTo {
		short, cancel := context.WithTimeout(ctx, markTimeout)
		rows, next, err := m.cfg.Record.Since(short, at)
		cancel()
		if err != nil {
			return objects, at, fmt.Errorf("after revision %d: %w", at, err)
		}
		for _, row := range rows {
			// What is newer was pushed to this process, which sends it.
			if row.Revision > m.upTo || !catalog.Keeps(row.Key.Module) {
				continue
			}
			log.Append(m.again(row), nil)
			objects++
		}
		if next <= at {
			break // a restored record
		}
		at = next
	}
	return objects, at, nil
}

// again is the broadcast of whatever the object is when it is delivered.
func (m *Marks) again(row catalog.Row) *Broadcast {
	owner := row.Key.Owner
	b := &Broadcast{
		Object: objectName(row.Key.Module, owner, row.Key.ID), Owner: owner, From: owner, Accepted: time.Now(),
		CorrelationID: ocpi.NewMessageID(), Method: "PUT", Version: ocpi.V221, Module: row.Key.Module, Revision: row.Revision,
		Path:    "/" + owner.CountryCode() + "/" + owner.PartyID() + "/" + url.PathEscape(spelledID(row)),
		Present: true,
	}
	if sender, _ := m.cfg.Directory.Snapshot().Find(owner, row.Key.Module, ocpi.Sender); sender != nil {
		b.Platform = sender.Platform.ID
	}
	return b
}
