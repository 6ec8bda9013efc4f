package parties

import "busbar/ocpi"

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
