package simulator

import (
	"time"

	"busbar/ocpi"
)

// hold is why an EVSE is not free: a car, a reservation, or a fault.
type hold struct {
	// reservation is empty when a car has it.
	reservation string
	// until ends a reservation by itself; zero for a car.
	until time.Time
	// broken is for neither: the EVSE is out of order.
	broken bool
}

type reservation struct {
	evse  string
	by    ocpi.Address
	until time.Time
	// responseURL takes a second result when the CPO cancels.
	responseURL string
}

// reservationKey keeps the reservations of two eMSPs apart, even with the same
// id (2.2.1 mod_commands, ReserveNow).
func reservationKey(by ocpi.PartyKey, id string) string { return fold(by.String(), id) }

// occupy takes an EVSE for a driver of an eMSP, unless another car has it or
// another eMSP reserved it. A reservation of its own ends with that.
func (c *CPO) occupy(evse string, by ocpi.PartyKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, taken := c.holder(evse); taken {
		if h.reservation == "" || c.reservations[h.reservation].by.Party != by {
			return false
		}
		delete(c.reservations, h.reservation)
	}
	c.taken[evse] = hold{}
	return true
}

// holder tells who has an EVSE; a reservation that expired is dropped. c.mu is
// held.
func (c *CPO) holder(evse string) (hold, bool) {
	h, taken := c.taken[evse]
	if taken && h.reservation != "" && !c.p.cfg.Now().Before(h.until) {
		delete(c.taken, evse)
		delete(c.reservations, h.reservation)
		c.setStatus(c.bySpot[evse].Spot, statusAvailable)
		return hold{}, false
	}
	return h, taken
}

// isFree tells whether a car may come.
func (c *CPO) isFree(evse string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, taken := c.holder(evse)
	return !taken
}

// isBroken tells whether SetFault took the EVSE.
func (c *CPO) isBroken(evse string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken[evse].broken
}

// setBroken takes an EVSE that is free, or gives back one that was broken; it
// tells whether anything changed. c.mu is held.
func (c *CPO) setBroken(evse string, broken bool) bool {
	h, taken := c.holder(evse)
	switch {
	case broken && !taken:
		c.taken[evse] = hold{broken: true}
	case !broken && h.broken:
		delete(c.taken, evse)
	default:
		return false
	}
	return true
}

func (c *CPO) free(evse string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.taken, evse)
}

// book reserves an EVSE that is free. The same reservation may be moved or
// prolonged (2.2.1 mod_commands, ReserveNow: it is replaced).
func (c *CPO) book(key string, r reservation) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, taken := c.holder(r.evse); taken && h.reservation != key {
		return false
	}
	if before, known := c.reservations[key]; known && before.evse != r.evse {
		delete(c.taken, before.evse)
		c.setStatus(c.bySpot[before.evse].Spot, statusAvailable)
	}
	c.reservations[key] = r
	c.taken[r.evse] = hold{reservation: key, until: r.until}
	c.setStatus(c.bySpot[r.evse].Spot, statusReserved)
	return true
}

// unbook ends a reservation and returns it.
func (c *CPO) unbook(key string) (r reservation, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, known = c.reservations[key]; known {
		delete(c.reservations, key)
		delete(c.taken, r.evse)
		c.setStatus(c.bySpot[r.evse].Spot, statusAvailable)
	}
	return r, known
}
