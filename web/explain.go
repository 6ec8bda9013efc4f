package web

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// explainInput is the request that is to be explained.
type explainInput struct {
	Method    string `json:"method"`
	Module    string `json:"module"`
	Interface string `json:"interface"`
	// Path is what follows the module in the URL, escaped, with its query.
	Path string          `json:"path"`
	From string          `json:"from"`
	To   string          `json:"to"`
	Body json.RawMessage `json:"body"`
}

// request checks the input. Every fault is reported, by field.
func (in explainInput) request() (*ocpi.Request, fields) {
	faults := fields{}
	note := func(field string, err error) {
		if err != nil {
			faults[field] = err.Error()
		}
	}
	req := &ocpi.Request{Method: strings.ToUpper(strings.TrimSpace(in.Method)), Version: ocpi.V221, Body: in.Body}
	if req.Method != http.MethodGet && !req.IsWrite() {
		faults["method"] = "must be GET, POST, PUT, PATCH or DELETE"
	}
	var err error
	req.Module, err = ocpi.ParseModuleID(strings.TrimSpace(in.Module))
	note("module", err)
	if err == nil && req.Module.IsConfiguration() {
		faults["module"] = string(req.Module) + " is between a platform and the hub, and never routed"
	}
	req.Interface, err = ocpi.ParseInterfaceRole(in.Interface)
	note("interface", err)
	req.Path, req.Query, _ = strings.Cut(in.Path, "?")
	if req.Path != "" && !strings.HasPrefix(req.Path, "/") {
		faults["path"] = "must be empty or begin with a slash: it is what follows the module in the URL"
	} else {
		note("path", ocpi.CheckPath(req.Path))
	}
	from, err := ocpi.ParseParty(strings.TrimSpace(in.From))
	note("from", err)
	req.From = ocpi.AddressOf(from)
	if in.To != "" {
		to, err := ocpi.ParseParty(strings.TrimSpace(in.To))
		note("to", err)
		req.To = ocpi.AddressOf(to)
	}
	if bytes.Equal(req.Body, []byte("null")) {
		req.Body = nil
	}
	return req, faults
}

type explanationJSON struct {
	Plan     routing.PlanKind `json:"plan"`
	Targets  []targetJSON     `json:"targets"`
	Excluded []exclusionJSON  `json:"excluded"`
	// Error is the answer that the sender of a refused request would get.
	Error *refusalJSON `json:"error,omitempty"`
}

type targetJSON struct {
	Party    ocpi.PartyKey      `json:"party"`
	Platform parties.PlatformID `json:"platform"`
	URL      string             `json:"url"`
}

type exclusionJSON struct {
	Party  ocpi.PartyKey `json:"party"`
	Reason string        `json:"reason"`
}

type refusalJSON struct {
	StatusCode    ocpi.StatusCode `json:"status_code"`
	StatusMessage string          `json:"status_message"`
	HTTPStatus    int             `json:"http_status"`
}

func showExplanation(e routing.Explanation) explanationJSON {
	out := explanationJSON{Plan: e.Plan, Targets: []targetJSON{}, Excluded: []exclusionJSON{}}
	for _, t := range e.Targets {
		out.Targets = append(out.Targets, targetJSON(t))
	}
	for _, x := range e.Excluded {
		out.Excluded = append(out.Excluded, exclusionJSON(x))
	}
	if e.Refusal != nil {
		out.Error = &refusalJSON{e.Refusal.Status, e.Refusal.Message, e.Refusal.HTTP}
		if out.Error.HTTPStatus == 0 {
			out.Error.HTTPStatus = http.StatusOK
		}
	}
	return out
}

// explain says what the router would do with a request, and sends nothing.
func (s *Server) explain(c *gin.Context) {
	var in explainInput
	if !decode(c, &in) {
		return
	}
	req, faults := in.request()
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the request breaks a rule", faults)
		return
	}
	c.JSON(http.StatusOK, showExplanation(s.explainer(c.Request.Context(), req)))
}
