package routing

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"busbar/ocpi"
	"busbar/ocpi/peer"
	"busbar/parties"
)

// Callback remembers where a requester wants to hear the result of a command or
// charging profile. The receiver is given a short URL of the hub instead: an
// OCPI URL has 255 characters, so the requester's cannot be embedded in it
// (2.2.1 mod_commands, mod_charging_profiles; U1, U2).
type Callback struct {
	// ID is what stands in the hub's URL.
	ID string
	// URL is the requester's own response_url.
	URL string
	// Requester and Receiver are the parties; the platforms they were on when
	// the request was sent are the only ones that may be called and may call.
	Requester, Receiver                 ocpi.PartyKey
	RequesterPlatform, ReceiverPlatform parties.PlatformID
	Module                              ocpi.ModuleID
	// SessionID is the session that a SetChargingProfile was for; empty for all
	// else.
	SessionID string
	CreatedAt time.Time
	// ExpiresAt is when the URL ends. It may be used any number of times before:
	// a CPO cancels a reservation through the URL of the RESERVE_NOW.
	ExpiresAt time.Time
}

// ErrNoCallback says that there is no such callback, or no longer.
var ErrNoCallback = errors.New("no such callback URL")

// CallbackStore keeps callbacks for all replicas, across restarts.
type CallbackStore interface {
	// SaveCallback inserts a callback. It is durable when this returns.
	SaveCallback(ctx context.Context, c Callback) error
	// Callback returns the callback with the id, or ErrNoCallback when there is
	// none or it expired at now.
	Callback(ctx context.Context, id string, now time.Time) (Callback, error)
	// ForgetCallbacks deletes what expired at now, and tells how many.
	ForgetCallbacks(ctx context.Context, now time.Time) (int64, error)
}

// newCallbackID draws an id that nobody guesses: 120 random bits.
func newCallbackID() string {
	var raw [15]byte
	rand.Read(raw[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(raw[:]))
}

// callbackLife is how long a hub URL for a result stays good: longer than any
// reservation (U1).
const callbackLife = 90 * 24 * time.Hour

// callbackTimeout bounds what a message waits for the record of callbacks.
const callbackTimeout = 5 * time.Second

// leadCallback gives the receiver of a command or charging profile a URL of the
// hub in place of the requester's response_url. A result posted to the
// requester's own URL would carry the receiver's token for this hub to it.
func (r *Router) leadCallback(ctx context.Context, caller *parties.Entry, plan *Plan, req *ocpi.Request, now time.Time) *ocpi.Error {
	wanted, refusal := findResponseURL(req)
	if refusal != nil || wanted == nil {
		return refusal
	}
	if err := ocpi.CheckURL(wanted.url); err != nil {
		return ocpi.Errorf(ocpi.InvalidParameters, "response_url: %v", err)
	}
	if rest, own := strings.CutPrefix(wanted.url, r.cfg.Hub.PublicURL+"/ocpi/"); own {
		if takesResults(rest) {
			return nil // the requester let the result come through the hub itself (R11)
		}
		// The receiver would be made to write there in its own name.
		return ocpi.Errorf(ocpi.InvalidParameters,
			"response_url: of this hub, only URLs of the Sender interface of commands and chargingprofiles take results")
	}
	c := Callback{
		ID: newCallbackID(), URL: wanted.url, Module: req.Module,
		Requester: req.From.Party, RequesterPlatform: caller.Platform.ID,
		Receiver: req.To.Party, ReceiverPlatform: plan.Receiver.Platform.ID,
		SessionID: profiledSession(req),
		CreatedAt: now.UTC().Truncate(time.Microsecond),
	}
	c.ExpiresAt = c.CreatedAt.Add(callbackLife)
	if err := r.saveCallback(ctx, c); err != nil {
		r.cfg.Logger.Error("save callback URL", "error", err)
		if errors.Is(err, context.DeadlineExceeded) {
			return ocpi.Errorf(ocpi.HubError, "the hub could not keep the response_url within %s, so nothing was sent: its database does not answer", callbackTimeout)
		}
		return ocpi.Errorf(ocpi.HubError, "the hub could not keep the response_url, so nothing was sent")
	}
	wanted.replace(r.cfg.Hub.Base(plan.Receiver.Platform.Version) + "/callback/" + c.ID)
	plan.resultFollows = true
	return nil
}

func (r *Router) saveCallback(ctx context.Context, c Callback) error {
	ctx, cancel := context.WithTimeout(ctx, callbackTimeout)
	defer cancel()
	return r.cfg.Callbacks.SaveCallback(ctx, c)
}

func (r *Router) callback(ctx context.Context, id string, now time.Time) (Callback, error) {
	ctx, cancel := context.WithTimeout(ctx, callbackTimeout)
	defer cancel()
	return r.cfg.Callbacks.Callback(ctx, id, now)
}

// profiledSession is the session of a SetChargingProfile, as the record can hold
// it and the index can learn it; otherwise empty.
func profiledSession(req *ocpi.Request) string {
	if req.Module != ocpi.ModuleChargingProfiles || req.Method != "PUT" {
		return ""
	}
	id := unescaped(segment(req.Path, 0))
	if len(id) > longestKey || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return ""
	}
	return id
}

// takesResults tells the hub's URLs, from the version on, to which results may be
// posted: those of the Sender interfaces, and callbacks.
func takesResults(rest string) bool {
	path, _, _ := strings.Cut(rest, "?")
	if ocpi.CheckPath(path) != nil {
		return false // what a proxy in front may read in another way
	}
	version, path, _ := strings.Cut(path, "/")
	if !ocpi.Version(version).Supported() {
		return false
	}
	for _, base := range [...]string{"sender/commands/", "sender/chargingprofiles/", "callback/"} {
		if strings.HasPrefix(path, base) {
			return true
		}
	}
	return false
}

// Return carries the result of a command or charging profile from the receiver
// back to the requester (R11). Only the platform that was given the URL may use
// it, as often as it needs.
func (r *Router) Return(ctx context.Context, caller *parties.Entry, id string, req *ocpi.Request, arrived time.Time) Reply {
	c, err := r.callback(ctx, id, arrived)
	if err != nil && !errors.Is(err, ErrNoCallback) {
		r.cfg.Logger.Error("read callback URL", "error", err)
		return r.Refuse(req, ocpi.Errorf(ocpi.HubError, "the hub could not look up this callback URL"), arrived)
	}
	if err != nil || c.ReceiverPlatform != caller.Platform.ID {
		// A stranger learns no more than one that is late.
		return r.Refuse(req, ocpi.HTTPErrorf(404, ocpi.InvalidParameters, "no such callback URL, or no longer"), arrived)
	}
	// Before the result is taken: an ActiveChargingProfile may follow at once.
	if c.SessionID != "" && isAcceptedResult(req.Body) {
		r.cfg.Index.learnProfile(c.Requester, c.Receiver, c.SessionID)
	}
	req.Module, req.From, req.To = c.Module, ocpi.AddressOf(c.Receiver), ocpi.AddressOf(c.Requester)
	plan, refusal := r.planReturn(c, req)
	if refusal != nil {
		return r.Refuse(req, refusal, arrived)
	}
	m := message(req, PlanDirect, arrived)
	reply := r.forward(ctx, caller, &plan, req, &m)
	r.note(&m, &reply)
	return reply
}

func (r *Router) planReturn(c Callback, req *ocpi.Request) (Plan, *ocpi.Error) {
	target, err := peer.ParseTarget(c.URL)
	if err != nil {
		return Plan{}, ocpi.Errorf(ocpi.HubError, "the response_url of %s: %v", c.Requester, err)
	}
	p := Plan{
		Kind: PlanDirect, From: req.From, Target: &target,
		Receiver: r.cfg.Directory.Snapshot().Platform(c.RequesterPlatform),
	}
	if refusal := p.checkReceiver(req, c.Requester); refusal != nil {
		return Plan{}, refusal
	}
	p.Anonymous, p.Stranger = !p.Receiver.Hosts(&target), !p.Receiver.Names(&target)
	return p, nil
}

// Run forgets callbacks that have expired, now and then, until ctx ends.
func (r *Router) Run(ctx context.Context) {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-hourly.C:
			if _, err := r.cfg.Callbacks.ForgetCallbacks(ctx, now); err != nil {
				r.cfg.Logger.Warn("forget callback URLs", "error", err)
			}
		}
	}
}
