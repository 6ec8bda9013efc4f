package simulator

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"busbar/ocpi"
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
	{58, "charge", (*director).charge},
	{14, "command", (*director).command},
	{8, "status", (*director).status},
	{6, "token", (*director).token},
	{4, "reservation", (*director).reservation},
	{4, "smart charging", (*director).smartCharging},
	{3, "pull", (*director).pull},
	{2, "sync", (*director).sync},
	{1, "tariffs", (*director).tariffs},
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
			turns := d.n.outages.turns.Load()
			d.n.note(ctx, s.name, s.play(d, ctx), turns)
			break
		}
	}
}

// one in n, by luck; never in a network that keeps to direct messages.
func (d *director) oneIn(n int) bool { return d.luck.IntN(n) == 0 && !d.n.cfg.Direct }

// pair draws a CPO and an eMSP of two platforms: a company does not roam with
// itself. The eMSP platforms have no CPOs, so there always is one. One that the
// hub calls offline is left alone, when another can be found (2.2.1
// mod_hub_client_info, Another Party becomes OFFLINE).
func (d *director) pair() (*CPO, *EMSP) {
	const tries = 32
	c := d.n.cpos[d.luck.IntN(len(d.n.cpos))]
	for try := 0; ; try++ {
		e := d.n.emsps[d.luck.IntN(len(d.n.emsps))]
		away := c.p.Status(ocpi.PartyRole{Party: e.Key, Role: ocpi.RoleEMSP}) == ocpi.Offline
		if e.p != c.p && (!away || try > tries) {
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
// arrives. One card in thirty is known to nobody. One CPO in four does not know
// whose card it is and lets the hub find out.
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
	if d.oneIn(4) {
		a.EMSP, a.AskHub = ocpi.PartyKey{}, d.oneIn(2)
	}
	if _, err = c.Charge(ctx, a); errors.Is(err, ErrOccupied) {
		return nil // the driver goes on to the next station
	}
	return err
}

// command starts, stops or unlocks from an app. Every third time the app does
// not know which CPO to ask.
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
	if d.oneIn(3) && (req.Type == StopSession || d.isPublic(req.Spot)) {
		req.CPO = ocpi.PartyKey{}
	}
	_, err := d.await(ctx, e, req)
	return err
}

// isPublic tells whether the hub knows whose Location it is.
func (d *director) isPublic(s Spot) bool {
	return d.n.isPublished() && d.n.owners[fold(s.Location)] == 1
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
func (d *director) await(ctx context.Context, e *EMSP, req CommandRequest) (*Command, error) {
	command, err := e.Command(ctx, req)
	if err == nil && command.Response == accepted {
		_, err = d.result(ctx, command)
	}
	return command, err
}

// result waits for the next result of a command.
func (d *director) result(ctx context.Context, command *Command) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, resultTimeout)
	defer cancel()
	result, err := command.Result(ctx)
	if err != nil {
		return "", fmt.Errorf("%s to %s: no result: %w", command.Type, command.CPO, err)
	}
	return result, nil
}

// reservation reserves an EVSE. The driver gives it back, as most do not, or the
// CPO has to cancel it.
func (d *director) reservation(ctx context.Context) error {
	c, e := d.pair()
	token, err := d.anyToken(e, AppUser)
	if err != nil {
		return err
	}
	command, err := e.Command(ctx, CommandRequest{
		Type: ReserveNow, CPO: c.Key, Spot: d.anySpot(c), TokenUID: token.UID, TokenType: token.Type,
	})
	if err != nil || command.Response != accepted {
		return err
	}
	if result, err := d.result(ctx, command); err != nil || result != accepted {
		return err
	}
	if d.luck.IntN(2) == 0 {
		_, err := d.await(ctx, e, CommandRequest{Type: CancelReservation, CPO: c.Key, ReservationID: command.ReservationID})
		return err
	}
	if err := c.Withdraw(ctx, e.Key, command.ReservationID); err != nil {
		if errors.Is(err, errNoReservation) {
			return nil // the driver came
		}
		return err
	}
	result, err := d.result(ctx, command)
	if err == nil && result != canceledReservation {
		err = fmt.Errorf("%s cancels a reservation of %s: the eMSP got %s", c.Key, e.Key, result)
	}
	return err
}

// smartCharging shares a running session with a provider, which limits its power;
// then the charge point limits it further. Half of it leaves the addressing to
// the hub.
func (d *director) smartCharging(ctx context.Context) error {
	if len(d.n.scsps) == 0 {
		return nil
	}
	s := d.n.scsps[d.luck.IntN(len(d.n.scsps))]
	_, e := d.pair()
	c, session, ok := d.runningOf(e)
	if !ok {
		return nil
	}
	err := c.ShareSession(ctx, s.Key, session)
	if err == nil {
		err = d.limit(ctx, s, c, session)
	}
	if errors.Is(err, errNoSession) {
		return nil // the car has left
	}
	return err
}

func (d *director) limit(ctx context.Context, s *SCSP, c *CPO, session string) error {
	const most, least = 11000, 4140 // W: three phases of 16 A, and of 6 A
	cpo := c.Key
	if d.oneIn(2) {
		cpo = ocpi.PartyKey{}
	}
	watts := least + d.luck.IntN(most-least)
	command, err := s.SetProfile(ctx, cpo, session, watts)
	if err != nil || command.Response != accepted {
		return err
	}
	if result, err := d.result(ctx, command); err != nil || result != accepted {
		return err
	}
	return c.LimitPower(ctx, session, least, d.oneIn(2))
}

// status breaks or mends an EVSE now and then. Stream tells it to all; in a
// network without, an eMSP is told.
func (d *director) status(ctx context.Context) error {
	c, e := d.pair()
	spot := d.anySpot(c)
	c.SetFault(spot, d.luck.IntN(10) == 0)
	if !d.n.cfg.Direct {
		return nil
	}
	return c.PushStatus(ctx, e.Key, spot)
}

// token tells a CPO of a token, or all CPOs.
func (d *director) token(ctx context.Context) error {
	c, e := d.pair()
	token, err := d.anyToken(e, RFID)
	if err != nil {
		return err
	}
	to := c.Key
	if d.oneIn(2) {
		to = e.p.Hub()
	}
	return e.PushToken(ctx, to, token.UID, token.Type)
}

// tariffs tells an eMSP of a CPO's tariffs, or all of them.
func (d *director) tariffs(ctx context.Context) error {
	c, e := d.pair()
	to := e.Key
	if !d.n.cfg.Direct {
		to = c.p.Hub()
	}
	return c.PushTariffs(ctx, to)
}

// pull asks a CPO for its Locations: all of them once, later what changed.
func (d *director) pull(ctx context.Context) error {
	c, e := d.pair()
	return d.since(fold(c.Key.String(), e.Key.String()), func(since time.Time) error {
		if _, err := e.PullLocations(ctx, c.Key, since); err != nil {
			return fmt.Errorf("%s pulls Locations of %s: %w", e.Key, c.Key, err)
		}
		return nil
	})
}

// sync asks the hub for what all CPOs have: all of it once, later what changed.
func (d *director) sync(ctx context.Context) error {
	if d.n.cfg.Direct || !d.n.isPublished() {
		return nil
	}
	_, e := d.pair()
	return d.since(e.Key.String(), func(since time.Time) error {
		_, _, err := e.Sync(ctx, since)
		return err
	})
}

// since hands the time of the last pull on, and notes that of this one when it
// went well.
func (d *director) since(who string, pull func(time.Time) error) error {
	start := d.n.platforms[0].cfg.Now()
	d.n.mu.Lock()
	since := d.n.pulled[who]
	d.n.mu.Unlock()
	if err := pull(since); err != nil {
		return err
	}
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	d.n.pulled[who] = start
	return nil
}

// check reads a Location back from an eMSP, as CPOs do that are not sure.
func (d *director) check(ctx context.Context) error {
	c, e := d.pair()
	spot := d.anySpot(c)
	if _, known := e.Location(c.Key, spot.Location); known {
		return c.CheckLocation(ctx, e.Key, spot.Location)
	}
	if !d.n.cfg.Direct {
		return nil // it will come by broadcast
	}
	return c.PushLocation(ctx, e.Key, spot.Location)
}
