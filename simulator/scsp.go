package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"busbar/ocpi"
)

// SCSP is one smart charging provider of a platform: CPOs share Sessions with
// it, and it decides how fast their cars charge (2.2.1 mod_charging_profiles,
// The CPO delegated Smart Charging to SCSP).
type SCSP struct {
	Key ocpi.PartyKey
	*inquiries

	p        *Platform
	sessions *shelf
}

func newSCSP(p *Platform, of Party) *SCSP {
	return &SCSP{Key: of.PartyRole.Party, inquiries: newInquiries(p), p: p, sessions: newShelf(mostSessions)}
}

func (s *SCSP) faces() map[face]handler {
	return map[face]handler{
		{ocpi.ModuleSessions, ocpi.Receiver}:       sessionReceiver(s.sessions, s.p).handle,
		{ocpi.ModuleChargingProfiles, ocpi.Sender}: s.receive,
	}
}

// Session returns a Session as the CPO shared it.
func (s *SCSP) Session(cpo ocpi.PartyKey, id string) (json.RawMessage, bool) {
	d, ok := s.sessions.get(fold(cpo.String(), id))
	return d.body, ok
}

// SetProfile limits the power of a session that was shared, in W. The Command
// it returns waits for the result. Without a CPO the hub finds it by the
// session.
func (s *SCSP) SetProfile(ctx context.Context, cpo ocpi.PartyKey, session string, watts int) (*Command, error) {
	return s.setProfile(ctx, s.Key, cpo, session, watts)
}

// ShareSession PUTs a running Session to a smart charging provider, which may
// set its charging profile from then on.
func (c *CPO) ShareSession(ctx context.Context, scsp ocpi.PartyKey, id string) error {
	d, known := c.sessions.get(fold(id))
	c.mu.Lock()
	running := c.active[id]
	if running != nil {
		running.smart = scsp
	}
	c.mu.Unlock()
	if running == nil || !known {
		return fmt.Errorf("%s: session %s: %w", c.Key, id, errNoSession)
	}
	got, err := c.send(ctx, ocpi.Request{
		Method: http.MethodPut, Module: ocpi.ModuleSessions, Interface: ocpi.Receiver,
		Path: "/" + pathOf(c.Key.String(), id), To: ocpi.AddressOf(scsp), Body: d.body,
	})
	if err != nil {
		return err
	}
	return got.Err()
}
