package parties

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"busbar/ocpi"
)

// ErrNoAgreement says that the two have no agreement.
var ErrNoAgreement = errors.New("no such agreement")

// AgreementError refuses an agreement that makes no sense.
type AgreementError struct {
	// Field is parties or modules.
	Field string
	// Rule is what the field breaks.
	Rule string
}

func (e *AgreementError) Error() string { return "field " + e.Field + ": " + e.Rule }

// Agreement lets two parties exchange modules when the hub's agreements are
// closed.
type Agreement struct {
	// Parties are the two, the lesser first. The zero PartyKey, which is the
	// least, stands for every party.
	Parties [2]ocpi.PartyKey
	// Modules are those that they may exchange; empty is all.
	Modules []ocpi.ModuleID
}

// normal checks the agreement and writes it the one way in which it is kept:
// the lesser party first, every module once and in order.
func (a Agreement) normal() (Agreement, error) {
	a.Parties = ordered(a.Parties)
	if a.Parties[0] == a.Parties[1] && !a.Parties[0].IsZero() {
		return Agreement{}, &AgreementError{"parties",
			fmt.Sprintf("%s stands twice; a party needs no agreement with itself", a.Parties[0])}
	}
	modules := make([]ocpi.ModuleID, len(a.Modules))
	for i, m := range a.Modules {
		id, err := ocpi.ParseModuleID(string(m))
		if err != nil {
			return Agreement{}, &AgreementError{"modules", err.Error()}
		}
		if id.IsConfiguration() {
			return Agreement{}, &AgreementError{"modules",
				fmt.Sprintf("%s is between a platform and the hub, not between parties", id)}
		}
		modules[i] = id
	}
	slices.Sort(modules)
	a.Modules = slices.Compact(modules)
	return a, nil
}

// ordered is the pair with the lesser party first.
func ordered(pair [2]ocpi.PartyKey) [2]ocpi.PartyKey {
	if bytes.Compare(pair[0][:], pair[1][:]) > 0 {
		pair[0], pair[1] = pair[1], pair[0]
	}
	return pair
}

func compareAgreements(a, b Agreement) int {
	if c := bytes.Compare(a.Parties[0][:], b.Parties[0][:]); c != 0 {
		return c
	}
	return bytes.Compare(a.Parties[1][:], b.Parties[1][:])
}

// Agree makes or replaces the agreement of a pair, and returns it as it is
// kept. Parties may agree before they are registered. The error is an
// *AgreementError when the agreement makes no sense.
func (r *Registrar) Agree(ctx context.Context, a Agreement) (Agreement, error) {
	a, err := a.normal()
	if err != nil {
		return Agreement{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	all, revision, err := r.cfg.Store.PutAgreement(ctx, a)
	if err != nil {
		return Agreement{}, err
	}
	r.publishAgreements(ctx, a.Parties, all, revision)
	return a, nil
}

// Disagree ends the agreement of a pair, given in any order. It fails with
// ErrNoAgreement when there is none.
func (r *Registrar) Disagree(ctx context.Context, pair [2]ocpi.PartyKey) error {
	pair = ordered(pair)
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	all, revision, err := r.cfg.Store.DeleteAgreement(ctx, pair)
	if err != nil {
		return err
	}
	r.publishAgreements(ctx, pair, all, revision)
	return nil
}

// publishAgreements brings the agreements, committed at a revision, to whoever
// answers from memory. pair is the one that changed.
func (r *Registrar) publishAgreements(ctx context.Context, pair [2]ocpi.PartyKey, all []Agreement, revision int64) {
	before, after := r.cfg.Directory.ApplyAgreements(all, revision, revision)
	if r.observer != nil {
		r.observer.agreementChanged(before, after, pair)
	}
	r.tell(ctx, Change{Revision: revision, Agreements: true}, func(ctx context.Context) error {
		return r.cfg.Cache.AnnounceAgreements(ctx, all, revision)
	})
}

// policy is what a directory asks agreements for.
type policy struct {
	// closed tells that parties need one.
	closed bool
	// hub is the hub's own party, which needs none.
	hub ocpi.PartyKey
}

// agreements are all of them at one revision, as a message finds them. They are
// read and replaced whole, so that a revision says all of their state.
type agreements struct {
	revision int64
	list     []Agreement
	// modules has no entry for a pair without an agreement, and an empty one
	// for a pair that may exchange everything.
	modules map[[2]ocpi.PartyKey][]ocpi.ModuleID
}

func newAgreements(list []Agreement, revision int64) *agreements {
	a := &agreements{
		revision: revision, list: slices.SortedFunc(slices.Values(list), compareAgreements),
		modules: make(map[[2]ocpi.PartyKey][]ocpi.ModuleID, len(list)),
	}
	for _, agreement := range list {
		a.modules[ordered(agreement.Parties)] = agreement.Modules
	}
	return a
}

// covering are the pairs whose agreements hold for the two parties.
func covering(a, b ocpi.PartyKey) [4][2]ocpi.PartyKey {
	var every ocpi.PartyKey
	return [4][2]ocpi.PartyKey{ordered([2]ocpi.PartyKey{a, b}), {every, a}, {every, b}, {every, every}}
}

// Permits tells whether two parties may exchange messages of a module: always
// when the agreements are open, and never forbidden are a party with itself and
// the hub.
func (s *Snapshot) Permits(a, b ocpi.PartyKey, m ocpi.ModuleID) bool {
	if !s.closed || a == b || a == s.hub || b == s.hub {
		return true
	}
	for _, pair := range covering(a, b) {
		modules, agreed := s.agreements.modules[pair]
		if agreed && (len(modules) == 0 || slices.Contains(modules, m)) {
			return true
		}
	}
	return false
}

// Acquainted tells whether two parties may exchange messages of any module.
func (s *Snapshot) Acquainted(a, b ocpi.PartyKey) bool {
	if !s.closed || a == b || a == s.hub || b == s.hub {
		return true
	}
	for _, pair := range covering(a, b) {
		if _, agreed := s.agreements.modules[pair]; agreed {
			return true
		}
	}
	return false
}

// knows tells whether any party of the platform is acquainted with the party.
func (s *Snapshot) knows(e *Entry, party ocpi.PartyKey) bool {
	if !s.closed {
		return true
	}
	for own := range e.parties {
		if s.Acquainted(own, party) {
			return true
		}
	}
	return false
}

// Agreements are all agreements, ordered by their parties; every party comes
// first. Their modules must not be changed.
func (s *Snapshot) Agreements() []Agreement { return slices.Clone(s.agreements.list) }

// RequireAgreements closes the directory: only parties with an agreement may
// talk. Call it before the first Replace.
func (d *Directory) RequireAgreements() {
	d.setPolicy(func(p *policy) { p.closed = true })
}

// AgreementsRequired tells whether the directory is closed.
func (d *Directory) AgreementsRequired() bool { return d.Snapshot().closed }

func (d *Directory) setPolicy(set func(*policy)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.snap.Load().clone()
	set(&next.policy)
	d.snap.Store(next)
}

// ApplyAgreements brings the agreements into the directory, unless newer ones
// are already there. revision is the change that this is the news of; the
// agreements may be newer: they were read at the revision read. It returns the
// directory before and after.
func (d *Directory) ApplyAgreements(all []Agreement, read, revision int64) (before, after *Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before = d.snap.Load()
	after = before.clone()
	after.advance(revision)
	if read > before.agreements.revision {
		after.agreements = newAgreements(all, read)
	}
	d.snap.Store(after)
	return before, after
}
