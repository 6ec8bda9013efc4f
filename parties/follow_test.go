package parties

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// muted is a store as one replica reaches it: while it is silent, reading it answers
// only when the caller gives up.
type muted struct {
	*memory
	silent atomic.Bool
}

func (m *muted) wait(ctx context.Context) error {
	if !m.silent.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (m *muted) Revision(ctx context.Context) (int64, error) {
	if err := m.wait(ctx); err != nil {
		return 0, err
	}
	return m.memory.Revision(ctx)
}

func (m *muted) All(ctx context.Context) (Record, error) {
	if err := m.wait(ctx); err != nil {
		return Record{}, err
	}
	return m.memory.All(ctx)
}

func (m *muted) Get(ctx context.Context, id PlatformID) (Platform, error) {
	if err := m.wait(ctx); err != nil {
		return Platform{}, err
	}
	return m.memory.Get(ctx, id)
}

func (m *muted) Agreements(ctx context.Context) ([]Agreement, int64, error) {
	if err := m.wait(ctx); err != nil {
		return nil, 0, err
	}
	return m.memory.Agreements(ctx)
}

// copying is a Cache that keeps a copy of what is announced in order.
type copying struct {
	wire
	// silent answers nothing; deaf keeps changes, and tells nobody; keeps is an error
	// of ForgetBeyond.
	silent, deaf, keeps atomic.Bool

	held sync.Mutex
	copy Record
}

func (c *copying) wait(ctx context.Context) error {
	if !c.silent.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// with waits, and runs do on the copy.
func (c *copying) with(ctx context.Context, do func()) error {
	if err := c.wait(ctx); err != nil {
		return err
	}
	c.held.Lock()
	defer c.held.Unlock()
	do()
	return nil
}

func (c *copying) find(id PlatformID) int {
	return slices.IndexFunc(c.copy.Platforms, func(p Platform) bool { return p.ID == id })
}

func (c *copying) Load(ctx context.Context) (record Record, ok bool, err error) {
	err = c.with(ctx, func() { record, ok = c.copy, true; record.Platforms = slices.Clone(record.Platforms) })
	return record, ok, err
}

func (c *copying) Fill(ctx context.Context, record Record) error {
	return c.with(ctx, func() {
		if record.Revision >= c.copy.Revision {
			c.copy = record
		}
	})
}

func (c *copying) ForgetBeyond(ctx context.Context, newest int64) error {
	if c.keeps.Load() {
		return errors.New("cannot forget")
	}
	return c.with(ctx, func() {
		if c.copy.Revision > newest {
			c.copy = Record{}
		}
	})
}

func (c *copying) Revision(ctx context.Context) (revision int64, ok bool, err error) {
	err = c.with(ctx, func() { revision, ok = c.copy.Revision, true })
	return revision, ok, err
}

func (c *copying) Get(ctx context.Context, id PlatformID) (p Platform, revision int64, err error) {
	err = c.with(ctx, func() {
		if revision = c.copy.Revision; c.find(id) >= 0 {
			p = c.copy.Platforms[c.find(id)].Clone()
		}
	})
	return p, revision, err
}

func (c *copying) Agreements(ctx context.Context) (all []Agreement, revision int64, err error) {
	err = c.with(ctx, func() { all, revision = c.copy.Agreements, c.copy.Revision })
	return all, revision, err
}

func (c *copying) Announce(ctx context.Context, change Change, p *Platform) error {
	err := c.with(ctx, func() {
		c.copy.Platforms = slices.DeleteFunc(slices.Clone(c.copy.Platforms), func(old Platform) bool { return old.ID == change.ID })
		if c.copy.Revision = change.Revision; p != nil {
			c.copy.Platforms = append(c.copy.Platforms, p.Clone())
		}
	})
	if err != nil || c.deaf.Load() {
		return err
	}
	return c.wire.Announce(ctx, change, p)
}

func (c *copying) AnnounceAgreements(ctx context.Context, all []Agreement, revision int64) error {
	err := c.with(ctx, func() { c.copy.Agreements, c.copy.Revision = all, revision })
	if err != nil || c.deaf.Load() {
		return err
	}
	return c.wire.Announce(ctx, Change{Revision: revision, Agreements: true}, nil)
}

// pair is replica a, which an operator changes platforms at, and b, which follows.
type pair struct {
	*testing.T
	a, b *replica
	// record and cache are as b reaches them.
	record *muted
	cache  *copying
	logs   *logged
}

type logged struct {
	mu    sync.Mutex
	lines bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(line)
}

func (l *logged) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.lines.String(), words)
}

// pairs runs a test with two replicas, which have the platforms a and b.
func pairs(t *testing.T, test func(p *pair)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		p := &pair{T: t, record: &muted{memory: store}, cache: &copying{}, logs: &logged{}}
		p.a, p.b = newReplica(t, store, &p.cache.wire), newReplica(t, store, &p.cache.wire)
		p.a.registrar.cfg.Cache = p.cache
		p.b.follower = NewFollower(FollowerConfig{
			Store: p.record, Cache: p.cache, Directory: p.b.directory, Registrar: p.b.registrar,
			Logger: slog.New(slog.NewTextHandler(p.logs, nil)),
		})
		p.b.directory.RequireAgreements()
		p.a.has(at(t, "a", "NLAAA", 0))
		p.a.has(at(t, "b", "NLBBB", 0))
		p.agree(true)
		record, err := store.All(t.Context())
		p.must(err)
		p.must(p.cache.Fill(t.Context(), record))
		if err := p.b.follower.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		go p.b.follower.Run(t.Context())
		synctest.Wait()
		p.follows("at the start", "3 a@1 b@2, agreed")
		test(p)
	})
}

// must fails the test when what an operator does fails.
func (p *pair) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *pair) suspend(id PlatformID) {
	p.Helper()
	_, err := p.a.registrar.Suspend(p.Context(), id)
	p.must(err)
}

func (p *pair) agree(on bool) {
	p.Helper()
	agreement := agreed(p.T, "NLAAA NLBBB")
	if on {
		_, err := p.a.registrar.Agree(p.Context(), agreement)
		p.must(err)
		return
	}
	p.must(p.a.registrar.Disagree(p.Context(), agreement.Parties))
}

// follows checks what b has once nothing moves any more.
func (p *pair) follows(when, want string) {
	p.Helper()
	synctest.Wait()
	got, s := holds(p.b.directory), p.b.directory.Snapshot()
	for _, e := range s.Platforms() {
		if e.Platform.Held {
			got += fmt.Sprintf(", %s is held", e.Platform.ID)
		}
	}
	if s.Permits(key(p.T, "NLAAA"), key(p.T, "NLBBB"), "locations") {
		got += ", agreed"
	}
	if got != want {
		p.Errorf("%s b has %q, want %q", when, got, want)
	}
}

// silence waits until a look at the record is under way that is not answered.
func (p *pair) silence() {
	p.record.silent.Store(true)
	time.Sleep(compareEvery)
}

func TestReplicas_NewsAreFollowedWhileTheRecordIsSilent(t *testing.T) {
	pairs(t, func(p *pair) {
		p.silence()
		p.suspend("a")
		p.follows("behind a suspension", "4 a@4 b@2, a is held, agreed")
		p.agree(false)
		p.follows("behind the end of an agreement", "5 a@4 b@2, a is held")
		p.must(p.a.registrar.Delete(p.Context(), "b"))
		p.follows("behind a deletion", "6 a@4, a is held")
		fresh, _, err := p.a.registrar.Enrol(p.Context(), Enrolment{Name: "fresh"})
		p.must(err)
		synctest.Wait()
		if p.b.directory.Snapshot().Platform(fresh.ID) == nil {
			t.Error("b does not know who was enrolled")
		}
		time.Sleep(2 * deafAfter)
		if err := p.b.follower.Hears(); err != nil || p.logs.count("level=ERROR") != 0 {
			t.Errorf("b has the copy, and says %v", err)
		}
	})
}

func TestReplicas_LostNewsAreFoundInTheCopyWhileTheRecordIsSilent(t *testing.T) {
	pairs(t, func(p *pair) {
		p.silence()
		p.cache.deaf.Store(true)
		p.suspend("a")
		p.agree(false)
		time.Sleep(silentAfter + 2*compareEvery)
		p.follows("after a look", "5 a@4 b@2, a is held")
	})
}

func TestReplicas_AChangeBehindLostNewsBindsAtOnce(t *testing.T) {
	pairs(t, func(p *pair) {
		p.silence()
		p.cache.deaf.Store(true)
		p.agree(false)
		p.cache.deaf.Store(false)
		p.suspend("a")
		p.follows("behind both", "5 a@5 b@2, a is held")
	})
}

func TestReplicas_ARedisThatIsSilentHoldsNothingUp(t *testing.T) {
	pairs(t, func(p *pair) {
		p.cache.silent.Store(true)
		for i, want := range []string{"4 a@4 b@2, a is held, agreed", "5 a@4 b@5, a is held, b is held, agreed"} {
			began := time.Now()
			p.suspend([]PlatformID{"a", "b"}[i])
			if waited := time.Since(began); waited > announceWait {
				t.Errorf("the operator waited %s", waited)
			}
			time.Sleep(compareEvery)
			p.follows("after a look", want)
		}
		time.Sleep(2 * deafAfter)
		if err := p.b.follower.Hears(); err != nil {
			t.Errorf("b has the record, and says %v", err)
		}
	})
}

func TestReplicas_OneThatHearsFromNeitherSideSaysSo(t *testing.T) {
	pairs(t, func(p *pair) {
		p.record.silent.Store(true)
		p.cache.silent.Store(true)
		time.Sleep(deafAfter - time.Second)
		if err := p.b.follower.Hears(); err != nil {
			t.Errorf("too soon: %v", err)
		}
		time.Sleep(5 * deafAfter)
		if err := p.b.follower.Hears(); err == nil || p.logs.count("level=ERROR") != 1 {
			t.Errorf("b says %v, and has logged %d errors", err, p.logs.count("level=ERROR"))
		}
		p.record.silent.Store(false)
		time.Sleep(lookWait + 2*compareEvery)
		if err := p.b.follower.Hears(); err != nil || p.logs.count("hears of changes of platforms and agreements again") != 1 {
			t.Errorf("the record is back, and b says %v", err)
		}
	})
}

// A record that was set back may have been copied before, and the copy may stay.
func TestReplicas_ACopyThatCannotBeForgottenIsNotRead(t *testing.T) {
	pairs(t, func(p *pair) {
		p.cache.keeps.Store(true)
		p.record.mu.Lock()
		delete(p.record.platforms, "b")
		clear(p.record.agreements)
		p.record.revision = 1
		p.record.mu.Unlock()
		time.Sleep(compareEvery)
		p.follows("behind a backup", "1 a@1")
		p.cache.wire.mu.Lock()
		told := p.cache.watchers
		p.cache.wire.mu.Unlock()
		told[0](Change{Revision: 2, Agreements: true}) // the copy has some at 3
		p.follows("behind news of what the record does not have", "1 a@1")
		p.cache.keeps.Store(false)
		time.Sleep(compareEvery)
		synctest.Wait()
		if p.b.follower.mistrusted.Load() {
			t.Error("the copy was forgotten, and is still mistrusted")
		}
	})
}

func TestRegistrar_AnnouncementsUnderWayAreBounded(t *testing.T) {
	pairs(t, func(p *pair) {
		p.cache.silent.Store(true)
		for range 2 * mostAnnouncing {
			go p.a.registrar.announce(p.Context(), Change{Revision: 9, ID: "a"}, nil)
		}
		synctest.Wait()
		if n := len(p.a.registrar.announcing); n != mostAnnouncing {
			t.Errorf("%d are under way, want %d", n, mostAnnouncing)
		}
		time.Sleep(announceTimeout)
		synctest.Wait()
		if n := len(p.a.registrar.announcing); n != 0 {
			t.Errorf("%d are still under way", n)
		}
	})
}
