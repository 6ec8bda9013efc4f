package routing

import (
	"time"

	"busbar/ocpi"
)

// PlanKind is what the router decided to do with a request.
type PlanKind string

const (
	// PlanDirect forwards to the platform of the party that is addressed.
	PlanDirect PlanKind = "direct"
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

// Journal takes note of messages. Record must not block and must not keep the
// pointer: it is called on the request path.
type Journal interface{ Record(*Message) }
