package parties

import (
	"context"
	"slices"
	"time"

	"busbar/ocpi"
)

// Caller is an authenticated platform, and the token it came with.
type Caller struct {
	*Entry
	Token InboundToken
	// Form is how the token was written.
	Form ocpi.TokenForm
	// Attempt is told that a call of the credentials module is about to change the
	// platform: what can be refused without a change was not. After an error
	// nothing is changed. Nil: nobody takes note.
	Attempt func(context.Context) error
}

// attempts tells that the caller is about to be changed.
func (c Caller) attempts(ctx context.Context) error {
	if c.Attempt == nil {
		return nil
	}
	return c.Attempt(ctx)
}

// Authenticate finds the platform that an Authorization header belongs to. It
// fails for unknown and expired tokens and for platforms that the operator
// suspended.
func (s *Snapshot) Authenticate(header string, now time.Time) (Caller, bool) {
	var found inbound
	form, ok := ocpi.ReadAuthorization(header, func(h ocpi.TokenHash) bool {
		in, ok := s.byToken[h]
		if !ok || !in.token.ExpiresAt.IsZero() && !now.Before(in.token.ExpiresAt) {
			return false
		}
		if in.token.Kind == TokenRetiring && in.entry.holdsSuccessor() {
			return false
		}
		found = in
		return true
	})
	if !ok || found.entry.Platform.Held {
		return Caller{}, false
	}
	return Caller{Entry: found.entry, Token: found.token, Form: form}, true
}

// proves notes that the platform holds this access token. From then on this
// replica refuses those that retire, whatever becomes of the record (C5).
func (c Caller) proves() {
	if c.Token.Kind == TokenAccess {
		c.proven.Store(&c.Token.Hash)
	}
}

// holdsSuccessor tells that the platform has used the access token that its
// retiring ones make way for.
func (e *Entry) holdsSuccessor() bool {
	proven := e.proven.Load()
	return proven != nil && slices.ContainsFunc(e.Platform.Inbound, func(t InboundToken) bool {
		return t.Kind == TokenAccess && t.Hash == *proven
	})
}

// MayRoute tells whether the token opens functional modules and hubclientinfo,
// or only versions and credentials (V1).
func (c Caller) MayRoute() bool {
	switch c.Token.Kind {
	case TokenAccess, TokenRetiring, TokenOffered, TokenUnconfirmed:
		return c.Entry.registered
	}
	return false
}

// MayExchangeCredentials tells whether the token opens the credentials module.
// A used-up token A opens no more than versions.
func (c Caller) MayExchangeCredentials() bool { return c.Token.Kind != TokenSpent }

// isRegistered tells whether the caller's own registration is complete, which
// decides between POST and PUT (C4). A fresh token A begins a new one.
func (c Caller) isRegistered() bool {
	return c.MayRoute() && c.Token.Kind != TokenRegistration
}

// SupersedesAnother tells that the use of this token ends an older one (C5). An
// offer ends nothing while the hub's call is open: a peer may use it to call
// back, and refuse it after all.
func (c Caller) SupersedesAnother() bool {
	if !c.renewing {
		return false
	}
	for _, t := range c.Platform.Inbound {
		if c.Token.Kind == TokenAccess && t.Kind == TokenRetiring || c.Token.Kind == TokenUnconfirmed && t.Kind == TokenAccess {
			return true
		}
	}
	return false
}
