package routing

import (
	"time"

	"busbar/ocpi"
	"busbar/parties"
)

// PlanKind is what the router decided to do with a request.
type PlanKind string

const (
	// PlanDirect forwards to the platform of the party that is addressed.
	PlanDirect PlanKind = "direct"
	// PlanBroadcast keeps what was pushed and sends it to every party that it is
	// meant for.
	PlanBroadcast PlanKind = "broadcast"
	// PlanOpen forwards to the party that the message itself leads to.
	PlanOpen PlanKind = "open"
	// PlanCatalog answers a list of all that the requester may see.
	PlanCatalog PlanKind = "catalog"
	// PlanRefused sends nothing: the answer is an error.
	PlanRefused PlanKind = "refused"
)

// Outcome says in one word how a message ended; it is a metric label, so the
// values are these and no others.
type Outcome string

const (
	OutcomeOK          Outcome = "ok"          // the receiver answered 1xxx
	OutcomeClientError Outcome = "client"      // the receiver answered 2xxx
	OutcomeServerError Outcome = "server"      // the receiver answered 3xxx or anything else
	OutcomeRefused     Outcome = "refused"     // the hub refused the request
	OutcomeUnknown     Outcome = "unknown"     // 4001: no such receiver
	OutcomeTimeout     Outcome = "timeout"     // 4002
	OutcomeUnreachable Outcome = "unreachable" // 4003
	OutcomeBadAnswer   Outcome = "bad_answer"  // 4000: not an OCPI answer, or no endpoint
	OutcomeCancelled   Outcome = "cancelled"   // the requester went away
	OutcomeOffline     Outcome = "offline"     // a leg whose receiver went offline while it waited
	OutcomeOverflow    Outcome = "overflow"    // a leg for which the receiver's lane had no room
	OutcomeSuperseded  Outcome = "superseded"  // a leg that a newer one made pointless
)

// Message is the metadata of one message that passed the hub: what the journal
// keeps, the log says and the console shows. Bodies are not in it.
type Message struct {
	Time          time.Time
	CorrelationID string
	RequestID     string
	Method        string
	Module        ocpi.ModuleID
	Interface     ocpi.InterfaceRole
	// Path is the escaped path behind the module, without the query.
	Path     string
	From, To ocpi.PartyKey
	Plan     PlanKind
	Outcome  Outcome
	// HTTPStatus and OCPIStatus are what the requester was answered; 0 when it
	// went away before.
	HTTPStatus int
	OCPIStatus ocpi.StatusCode
	// Detail is the status_message of the hub's own errors.
	Detail string
	// Duration is the whole time in the hub, Peer the part spent waiting for
	// the receiver.
	Duration, Peer time.Duration
}

// Legs is how a broadcast ended, after all its legs did.
type Legs struct {
	// Time is when the broadcast was accepted, by the clock of the replica that did;
	// Duration until its last leg ended, by that of the one that sent it. So the
	// difference of their clocks is in it; it is never below zero.
	Time          time.Time
	Duration      time.Duration
	CorrelationID string
	// Method is what the legs were sent by. It may be another than the message's: in
	// the place of a PATCH that comes late, or again, goes a PUT of the whole object.
	Method string
	Module ocpi.ModuleID
	From   ocpi.PartyKey
	// Total legs were to be sent; OK were answered 1xxx, Superseded became
	// pointless before they were sent. Failed are all others. A lane that owes an
	// object sends its last state in the place of the newest push; those before are
	// superseded.
	Total, OK, Superseded int
	Failed                []FailedLeg
}

// FailedLeg is one leg of a broadcast that did not arrive, or was refused.
type FailedLeg struct {
	To         ocpi.PartyKey
	Platform   parties.PlatformID
	RequestID  string
	Outcome    Outcome
	HTTPStatus int
	OCPIStatus ocpi.StatusCode
	Detail     string
	Duration   time.Duration
}

// Journal takes note of messages and of how broadcasts ended. Its methods must
// not block and must not keep the pointer: Record is called on the request path.
type Journal interface {
	Record(*Message)
	RecordLegs(*Legs)
}
