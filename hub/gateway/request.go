package gateway

import (
	"net/http"
	"strings"

	"busbar/ocpi"
)

// envelope is what every answer returns of its request: the two ids (2.2.1
// transport_and_format, Unique message IDs). Real peers leave them out; the hub
// fills them in.
type envelope struct{ requestID, correlationID string }

func newEnvelope(r *http.Request) envelope {
	e := envelope{requestID: first(r, "X-Request-Id"), correlationID: first(r, "X-Correlation-Id")}
	if e.requestID == "" {
		e.requestID = ocpi.NewMessageID()
	}
	if e.correlationID == "" {
		e.correlationID = ocpi.NewMessageID()
	}
	return e
}

// first is Header.Get without canonicalising the name again.
func first(r *http.Request, canonical string) string {
	if v := r.Header[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// place is what a routed URL says, in the requester's bytes.
type place struct {
	version   ocpi.Version // empty on the alias without a version
	side      ocpi.InterfaceRole
	module    ocpi.ModuleID
	path      string
	query     string
	malformed error
}

var errNoSuchURL = ocpi.HTTPErrorf(http.StatusNotFound, ocpi.ClientError, "no such URL on this hub")

// readPlace takes apart /ocpi/{version}/{sender|receiver}/{module}{path}?query.
func readPlace(r *http.Request) (place, error) {
	path, query, _ := strings.Cut(rawTarget(r), "?")
	rest, ok := strings.CutPrefix(path, "/ocpi/")
	if !ok {
		return place{}, errNoSuchURL
	}
	p := place{query: query}
	head, rest, _ := strings.Cut(rest, "/")
	if head != "sender" && head != "receiver" {
		p.version = ocpi.Version(head)
		if !p.version.Supported() {
			return place{}, errNoSuchURL
		}
		head, rest, _ = strings.Cut(rest, "/")
	}
	switch head {
	case "sender":
		p.side = ocpi.Sender
	case "receiver":
		p.side = ocpi.Receiver
	default:
		return place{}, errNoSuchURL
	}
	module, _, _ := strings.Cut(rest, "/")
	id, err := ocpi.ParseModuleID(module)
	if err != nil || id.IsConfiguration() {
		return place{}, errNoSuchURL // R1: configuration modules are never routed
	}
	p.module, p.path = id, rest[len(module):]
	if err := ocpi.CheckPath(p.path); err != nil {
		p.malformed = ocpi.Errorf(ocpi.InvalidParameters, "%v", err)
	}
	return p, nil
}

// rawTarget is the request target in origin form. RequestURI holds the bytes
// that were sent; a client may write the absolute form.
func rawTarget(r *http.Request) string {
	target := r.RequestURI
	if strings.HasPrefix(target, "/") {
		return target
	}
	if _, rest, ok := strings.Cut(target, "://"); ok {
		if slash := strings.IndexByte(rest, '/'); slash >= 0 {
			return rest[slash:]
		}
	}
	return "/"
}

// readAddresses reads the routing headers. A request with one value twice is
// not routed by guessing.
func readAddresses(r *http.Request, req *ocpi.Request) error {
	var err error
	for _, pair := range [...]struct {
		direction, country, party string
		into                      *ocpi.Address
	}{
		{"from", "Ocpi-From-Country-Code", "Ocpi-From-Party-Id", &req.From},
		{"to", "Ocpi-To-Country-Code", "Ocpi-To-Party-Id", &req.To},
	} {
		if len(r.Header[pair.country]) > 1 || len(r.Header[pair.party]) > 1 {
			return ocpi.Errorf(ocpi.InvalidParameters, "a header OCPI-%s-… stands twice", pair.direction)
		}
		*pair.into, err = ocpi.ParseAddress(pair.direction, first(r, pair.country), first(r, pair.party))
		if err != nil {
			return err
		}
	}
	return nil
}

// checkBody holds that the body is JSON (S1). A standard module's POST, PUT and
// PATCH always have one, except for an authorisation, whose LocationReferences
// are optional (2.2.1 mod_tokens, POST).
func checkBody(req *ocpi.Request) error {
	if len(req.Body) == 0 {
		req.Body = nil
		if req.IsWrite() && req.Method != http.MethodDelete && req.Module.IsStandard() && !req.IsAuthorize() {
			return badRequest("%s needs a JSON body", req.Method)
		}
		return nil
	}
	if err := ocpi.CheckJSON(req.Body); err != nil {
		return badRequest("body is not valid JSON: %v", err)
	}
	return nil
}
