package parties

import (
	"context"
	"slices"
	"time"

	"busbar/ocpi"
)

const (
	// restartGrace is how recent a sign of life shows that another replica was
	// there while this one was not.
	restartGrace = 30 * time.Second
	// catchUpPause is the time between two platforms, if all are told of within
	// catchUpWhole.
	catchUpPause = 100 * time.Millisecond
	catchUpWhole = time.Minute
)

// catchUp tells, once after the start, of every platform whose objects the hub
// may have missed while it was down: those that send Locations (O2). The ones
// that are OFFLINE follow when they are back.
func (m *Monitor) catchUp(ctx context.Context) {
	start := time.Now()
	list := slices.DeleteFunc(m.cfg.Directory.Snapshot().Platforms(), func(e *Entry) bool {
		return !e.Reachable() || !slices.ContainsFunc(e.Platform.PartyRoles(), func(pr ocpi.PartyRole) bool {
			return pr.Role.Implements(ocpi.ModuleLocations, ocpi.Sender)
		})
	})
	for i, e := range list {
		if i > 0 && !pause(ctx, min(catchUpPause, catchUpWhole/time.Duration(len(list)))) {
			return
		}
		stored, err := m.cfg.Store.Get(ctx, e.Platform.ID)
		if err != nil {
			stored = e.Platform
		}
		if since, ok := missedSince(&stored, &e.Platform, start); ok || m.cfg.Alone {
			m.cfg.Back(e.Platform.ID, since)
		}
	}
}

// missedSince tells since when a hub that started may have missed a platform; ok
// is false when another replica, if there are any, was there.
// stored is the platform as the record has it now, loaded as the directory had
// it at the start, perhaps from an older copy.
func missedSince(stored, loaded *Platform, start time.Time) (since time.Time, ok bool) {
	since = stored.LastSeen
	if !since.Before(start) {
		since = loaded.LastSeen // the record has been overtaken by what came since
	}
	if since.IsZero() {
		since = stored.StatusSince // it never called; the hub registered with it
	}
	return since, since.Before(start.Add(-restartGrace))
}
