package routing

import (
	"encoding/json"
	"net/url"
	"strings"

	"busbar/ocpi"
)

// responseURL is a response_url in a request, and how to put another there.
type responseURL struct {
	url     string
	replace func(string)
}

const responseURLName = "response_url"

// findResponseURL finds where the result of a command or charging profile is
// wanted: in the body of a POST or PUT, in the query of a GET or DELETE (U1,
// U2). nil means that the request has none; what receivers could read in two
// ways is refused.
func findResponseURL(req *ocpi.Request) (*responseURL, *ocpi.Error) {
	if req.Interface != ocpi.Receiver || req.Module != ocpi.ModuleCommands && req.Module != ocpi.ModuleChargingProfiles {
		return nil, nil
	}
	inQuery, refusal := findInQuery(req)
	if refusal != nil {
		return nil, refusal
	}
	inBody, refusal := findInBody(req)
	if refusal != nil {
		return nil, refusal
	}
	if inBody != nil && inQuery != nil {
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "response_url stands in the body and in the query")
	}
	if inQuery != nil {
		return inQuery, nil
	}
	return inBody, nil
}

func findInBody(req *ocpi.Request) (*responseURL, *ocpi.Error) {
	found := ocpi.FindMember(req.Body, responseURLName)
	switch {
	case len(found) == 0:
		return nil, nil
	case len(found) > 1:
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "field response_url stands twice")
	case !found[0].Exact:
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "field response_url must be written in lower case and without escapes")
	}
	at := found[0]
	var wanted string
	if err := json.Unmarshal(req.Body[at.Start:at.End], &wanted); err != nil {
		return nil, ocpi.Errorf(ocpi.InvalidParameters, "field response_url must be a string")
	}
	return &responseURL{url: wanted, replace: func(hubURL string) {
		// A fresh slice: the body's belongs to the gateway.
		body := make([]byte, 0, len(req.Body)+len(hubURL)+2)
		body = append(body, req.Body[:at.Start]...)
		body = append(append(append(body, '"'), hubURL...), '"') // hub URLs hold nothing to escape
		req.Body = append(body, req.Body[at.End:]...)
	}}, nil
}

// findInQuery tolerates the specification's own samples, whose nested URL is
// not encoded: it then reaches to the end of the query, or to the duration.
func findInQuery(req *ocpi.Request) (*responseURL, *ocpi.Error) {
	start, end := -1, 0
	for at := 0; at < len(req.Query); {
		stop := len(req.Query)
		if next := strings.IndexByte(req.Query[at:], '&'); next >= 0 {
			stop = at + next
		}
		name, value, _ := strings.Cut(req.Query[at:stop], "=")
		if decoded, err := url.QueryUnescape(name); err == nil && strings.EqualFold(decoded, responseURLName) {
			if start >= 0 || name != responseURLName {
				return nil, ocpi.Errorf(ocpi.InvalidParameters,
					"parameter response_url must stand once, in lower case and without escapes")
			}
			if strings.Contains(value, "://") {
				stop = nestedEnd(req.Query, at)
			}
			start, end = at+len(responseURLName)+1, stop
		}
		at = stop + 1
	}
	if start < 0 || start > end {
		return nil, nil
	}
	raw := req.Query[start:end]
	wanted := raw
	if !strings.Contains(raw, "://") {
		decoded, err := url.QueryUnescape(raw)
		if err != nil {
			return nil, ocpi.Errorf(ocpi.InvalidParameters, "parameter response_url has a broken percent escape")
		}
		wanted = decoded
	}
	return &responseURL{url: wanted, replace: func(hubURL string) {
		req.Query = req.Query[:start] + url.QueryEscape(hubURL) + req.Query[end:]
	}}, nil
}

// nestedEnd is where an unencoded URL ends that begins in the parameter at.
func nestedEnd(query string, at int) int {
	if next := strings.Index(query[at:], "&duration="); next >= 0 {
		return at + next
	}
	return len(query)
}
