package parties

import (
	"context"
	"errors"

	"busbar/ocpi"
)

// Agreement lets two parties exchange modules when the hub's agreements are
// closed.
type Agreement struct {
	// Parties are the two, the lesser first. The zero PartyKey, which is the
	// least, stands for every party.
	Parties [2]ocpi.PartyKey
	// Modules are those that they may exchange; empty is all.
	Modules []ocpi.ModuleID
}

// Permits tells whether two parties may exchange messages of a module.
func (s *Snapshot) Permits(a, b ocpi.PartyKey, m ocpi.ModuleID) bool { return true }

// RequireAgreements closes the directory: only parties with an agreement may
// talk. Call it before the first Replace.
func (d *Directory) RequireAgreements() {}

// ErrNoAgreement says that two parties have no agreement.
var ErrNoAgreement = errors.New("no such agreement")

// Agreements are all of them, in the order of their parties.
func (s *Snapshot) Agreements() []Agreement { return nil }

// AgreementsRequired tells that only parties with an agreement may talk.
func (d *Directory) AgreementsRequired() bool { return false }

// Agree makes an agreement, or replaces the one between the same parties.
func (r *Registrar) Agree(ctx context.Context, a Agreement) (Agreement, error) { return a, nil }

// Disagree ends an agreement, or fails with ErrNoAgreement.
func (r *Registrar) Disagree(ctx context.Context, pair [2]ocpi.PartyKey) error {
	return ErrNoAgreement
}
