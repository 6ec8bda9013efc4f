package simulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// director decides what happens next, one thing at a time. A network has
// several, each with luck of its own.
type director struct {
	n    *Network
	luck *rand.Rand
}

func (n *Network) newDirector(i int) *director {
	return &director{n: n, luck: rand.New(rand.NewPCG(n.cfg.Seed, uint64(i)))}
}

// scenes is what can happen, and how often.
var scenes = [...]struct {
	weight int
	name   string
	play   func(*director, context.Context) error
}{
	{60, "charge", (*director).charge},
	{14, "command", (*director).command},
	{8, "status", (*director).status},
	{6, "token", (*director).token},
	{4, "reservation", (*director).reservation},
	{3, "pull", (*director).pull},
	{3, "tariffs", (*director).tariffs},
	{2, "check", (*director).check},
}

func (d *director) run(ctx context.Context) {
	total := 0
	for _, s := range scenes {
		total += s.weight
	}
	for ctx.Err() == nil {
		draw := d.luck.IntN(total)
		for _, s := range scenes {
			if draw -= s.weight; draw >= 0 {
				continue
			}
			if err := s.play(d, ctx); err != nil && ctx.Err() == nil {
				d.n.log.Warn("simulated network: "+s.name, "error", err)
			}
			break
		}
	}
}

// pair draws a CPO and an eMSP of two platforms: a company does not roam with
// itself. The eMSP platforms have no CPOs, so there always is one.
func (d *director) pair() (*CPO, *EMSP) {
	c := d.n.cpos[d.luck.IntN(len(d.n.cpos))]
	for {
		if e := d.n.emsps[d.luck.IntN(len(d.n.emsps))]; e.p != c.p {
			return c, e
		}
	}
}

func (d *director) anySpot(c *CPO) Spot { return c.sites[d.luck.IntN(len(c.sites))].Spot }

// anyToken draws a token of a type.
func (d *director) anyToken(e *EMSP, kind string) (Token, error) {
	tokens := e.Tokens()
	for range 64 {
		if t := tokens[d.luck.IntN(len(tokens))]; t.Type == kind {
			return t, nil
		}
	}
	return Token{}, fmt.Errorf("%s has no %s token", e.Key, kind)
}

// charge first sees to a session that was started by command; else a car
// arrives. One card in thirty is known to nobody.
func (d *director) charge(ctx context.Context) error {
	for _, c := range d.n.cpos {
		if a, ok := c.RemoteStart(); ok {
			_, err := c.Charge(ctx, a)
			return err
		}
	}
	c, e := d.pair()
	token, err := d.anyToken(e, RFID)
	if err != nil {
		return err
	}
	a := Arrival{Spot: d.anySpot(c), EMSP: e.Key, TokenUID: token.UID, TokenType: RFID}
	if d.luck.IntN(30) == 0 {
		a.TokenUID = fmt.Sprintf("DEAD%010X", d.luck.Uint64()>>24)
	}
	if _, err = c.Charge(ctx, a); errors.Is(err, ErrOccupied) {
		return nil // the driver goes on to the next station
	}
	return err
}

// command starts, stops or unlocks from an app.
func (d *director) command(ctx context.Context) error {
	c, e := d.pair()
	req := CommandRequest{Type: UnlockConnector, CPO: c.Key, Spot: d.anySpot(c)}
	switch draw := d.luck.IntN(10); {
	case draw < 5:
		token, err := d.anyToken(e, AppUser)
		if err != nil {
			return err
		}
		req.Type, req.TokenUID, req.TokenType = StartSession, token.UID, token.Type
	case draw < 8:
		cpo, id, ok := d.runningOf(e)
		if !ok {
			return nil
		}
		req = CommandRequest{Type: StopSession, CPO: cpo.Key, SessionID: id}
	}
	return d.await(ctx, e, req)
}

// runningOf finds a session of one of an eMSP's drivers.
func (d *director) runningOf(e *EMSP) (*CPO, string, bool) {
	first := d.luck.IntN(len(d.n.cpos))
	for i := range d.n.cpos {
		c := d.n.cpos[(first+i)%len(d.n.cpos)]
		if id, ok := c.running(e.Key); ok {
			return c, id, true
		}
	}
	return nil, "", false
}

// resultTimeout is how long a driver looks at the app.
const resultTimeout = 30 * time.Second

// await sends a command and waits for what becomes of it.
func (d *director) await(ctx context.Context, e *EMSP, req CommandRequest) error {
	command, err := e.Command(ctx, req)
	if err != nil || command.Response != accepted {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, resultTimeout)
	defer cancel()
	if _, err := command.Result(ctx); err != nil {
		return fmt.Errorf("%s to %s: no result: %w", req.Type, req.CPO, err)
	}
	return nil
}

// reservation reserves an EVSE and gives it back, as most drivers do not.
func (d *director) reservation(ctx context.Context) error {
	c, e := d.pair()
	token, err := d.anyToken(e, AppUser)
	if err != nil {
		return err
	}
	req := CommandRequest{
		Type: ReserveNow, CPO: c.Key, Spot: d.anySpot(c), TokenUID: token.UID, TokenType: token.Type, ReservationID: newID(),
	}
	if err := d.await(ctx, e, req); err != nil {
		return err
	}
	return d.await(ctx, e, CommandRequest{Type: CancelReservation, CPO: c.Key, ReservationID: req.ReservationID})
}

// status breaks or mends an EVSE now and then, and tells an eMSP.
func (d *director) status(ctx context.Context) error {
	c, e := d.pair()
	spot := d.anySpot(c)
	c.SetFault(spot, d.luck.IntN(10) == 0)
	return c.PushStatus(ctx, e.Key, spot)
}

func (d *director) token(ctx context.Context) error {
	c, e := d.pair()
	token, err := d.anyToken(e, RFID)
	if err != nil {
		return err
	}
	return e.PushToken(ctx, c.Key, token.UID, token.Type)
}

func (d *director) tariffs(ctx context.Context) error {
	c, e := d.pair()
	return c.PushTariffs(ctx, e.Key)
}

// pull asks a CPO for its Locations: all of them once, later what changed.
func (d *director) pull(ctx context.Context) error {
	c, e := d.pair()
	pair, start := fold(c.Key.String(), e.Key.String()), c.p.cfg.Now()
	d.n.mu.Lock()
	since := d.n.pulled[pair]
	d.n.mu.Unlock()
	if _, err := e.PullLocations(ctx, c.Key, since); err != nil {
		return fmt.Errorf("%s pulls Locations of %s: %w", e.Key, c.Key, err)
	}
	d.n.mu.Lock()
	d.n.pulled[pair] = start
	d.n.mu.Unlock()
	return nil
}

// check reads a Location back from an eMSP, as CPOs do that are not sure.
func (d *director) check(ctx context.Context) error {
	c, e := d.pair()
	spot := d.anySpot(c)
	if _, known := e.Location(c.Key, spot.Location); !known {
		return c.PushLocation(ctx, e.Key, spot.Location)
	}
	return c.CheckLocation(ctx, e.Key, spot.Location)
}
