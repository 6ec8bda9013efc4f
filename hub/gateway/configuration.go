package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// configurationHandler answers a request of a configuration module.
type configurationHandler func(c *gin.Context, caller parties.Caller) (ocpi.Response, error)

// configuration serves the modules between a platform and the hub, which have
// no routing headers (R1), and writes the one log record of the request.
func (g *Gateway) configuration(handle configurationHandler) gin.HandlerFunc {
	return func(c *gin.Context) {
		begin := time.Now()
		ids := newEnvelope(c.Request)
		caller, allowance, err := g.admit(c, begin)
		defer allowance.leave()
		var response ocpi.Response
		if err == nil {
			response, err = handle(c, caller)
		}
		if err != nil {
			g.failFor(c, ids, caller, err, begin)
			return
		}
		g.logConfiguration(c, ids, caller, response, "", begin)
		writeConfiguration(c.Writer, ids, response)
	}
}

// failFor answers an error.
func (g *Gateway) failFor(c *gin.Context, ids envelope, caller parties.Caller, err error, begin time.Time) {
	refusal, known := refusalOf(err, false)
	if !known {
		g.cfg.Logger.Error("configuration request failed", "path", c.FullPath(), "error", err)
	}
	response := ocpi.Refused(refusal)
	if refusal.HTTP == http.StatusMethodNotAllowed && caller.Entry != nil {
		response.Headers = []ocpi.Header{{Name: "Allow", Value: allowed(c)}}
	}
	if header, over := retryAfter(err); over {
		response.Headers = []ocpi.Header{header}
	}
	if !g.count(err) {
		g.logConfiguration(c, ids, caller, response, refusal.Message, begin)
	}
	writeConfiguration(c.Writer, ids, response)
}

// count counts what a bound refused. It tells that the log is to be spared: the
// brake is for those who would fill it.
func (g *Gateway) count(err error) (quiet bool) {
	var over *overLimit
	if !errors.As(err, &over) {
		return false
	}
	g.metrics.refused[over.reason].Inc()
	return over.reason == byBrake
}

// allowed are the methods that fit, where one was refused: of credentials those
// of the registration's state (C4).
func allowed(c *gin.Context) string {
	switch {
	case !strings.Contains(c.FullPath(), "/credentials"):
		return "GET"
	case c.Request.Method == http.MethodPost:
		return "GET, PUT, DELETE"
	}
	return "GET, POST"
}

// configurationError answers without asking who calls.
func (g *Gateway) configurationError(refusal *ocpi.Error) gin.HandlerFunc {
	return func(c *gin.Context) { g.fail(c, newEnvelope(c.Request), refusal) }
}

// fail answers a request that never became a message, and logs it.
func (g *Gateway) fail(c *gin.Context, ids envelope, err error) {
	g.failFor(c, ids, parties.Caller{}, err, time.Now())
}

func (g *Gateway) logConfiguration(c *gin.Context, ids envelope, caller parties.Caller, response ocpi.Response, detail string, begin time.Time) {
	attrs := []any{
		"correlation_id", ids.correlationID, "request_id", ids.requestID,
		"method", c.Request.Method, "path", routing.DiscreetURL(c.Request.URL.EscapedPath(), g.cfg.TokenName),
		"http_status", response.HTTP, "ocpi_status", int(response.Status), "duration", time.Since(begin),
	}
	if caller.Entry != nil {
		attrs = append(attrs, "platform", string(caller.Platform.ID))
	}
	if detail != "" {
		attrs = append(attrs, "detail", detail)
	}
	g.cfg.Logger.Info("request", attrs...)
}

func writeConfiguration(w http.ResponseWriter, ids envelope, response ocpi.Response) {
	header := w.Header()
	header[ocpi.HeaderRequestID] = []string{ids.requestID}
	header[ocpi.HeaderCorrelationID] = []string{ids.correlationID}
	header["Content-Type"] = []string{"application/json"}
	header["Content-Length"] = []string{strconv.Itoa(len(response.Body))}
	if response.HTTP == http.StatusUnauthorized {
		header["WWW-Authenticate"] = []string{"Token"}
	}
	for _, h := range response.Headers {
		header[h.Name] = []string{h.Value}
	}
	w.WriteHeader(response.HTTP)
	_, _ = w.Write(response.Body)
}

func (g *Gateway) versions(_ *gin.Context, caller parties.Caller) (ocpi.Response, error) {
	return ocpi.Answered(g.cfg.Registrar.Hub().Versions(caller.Platform.VersionLimit)), nil
}

// version reads the version in the URL.
func version(c *gin.Context) (ocpi.Version, error) {
	v := ocpi.Version(c.Param("version"))
	if !v.Supported() {
		return "", errNoSuchURL
	}
	return v, nil
}

func (g *Gateway) details(c *gin.Context, caller parties.Caller) (ocpi.Response, error) {
	v, err := version(c)
	if err != nil {
		return ocpi.Response{}, err
	}
	return ocpi.Answered(g.cfg.Registrar.Hub().Details(v, caller.Platform.Quirks)), nil
}

// credentialsRequest is what the four credentials handlers begin with.
func credentialsRequest(c *gin.Context, caller parties.Caller) (ocpi.Version, error) {
	v, err := version(c)
	if err == nil && !caller.MayExchangeCredentials() {
		err = unauthorized("this token A was used up by a registration")
	}
	return v, err
}

func (g *Gateway) getCredentials(c *gin.Context, caller parties.Caller) (ocpi.Response, error) {
	if _, err := credentialsRequest(c, caller); err != nil {
		return ocpi.Response{}, err
	}
	presented := ocpi.PresentedToken(c.Request.Header.Get("Authorization"), caller.Form)
	return ocpi.Answered(g.cfg.Registrar.Own(caller, presented).JSON()), nil
}

// exchangeCredentials serves POST and PUT, which differ in what the registrar
// makes of the body.
func (g *Gateway) exchangeCredentials(
	act func(context.Context, parties.Caller, ocpi.Version, []byte) (parties.Issued, error)) configurationHandler {
	return func(c *gin.Context, caller parties.Caller) (ocpi.Response, error) {
		v, err := credentialsRequest(c, caller)
		if err != nil {
			return ocpi.Response{}, err
		}
		held := leaseOf(caller)
		defer held.end()
		body, err := readBody(c.Request, nil, g.cfg.MaxBody, &held)
		if err != nil {
			return ocpi.Response{}, err
		}
		issued, err := act(c.Request.Context(), caller, v, body)
		if err != nil {
			return ocpi.Response{}, err
		}
		response := ocpi.Answered(issued.Credentials.JSON())
		response.HTTP = issued.HTTP
		return response, nil
	}
}

func (g *Gateway) deleteCredentials(c *gin.Context, caller parties.Caller) (ocpi.Response, error) {
	if _, err := credentialsRequest(c, caller); err != nil {
		return ocpi.Response{}, err
	}
	if err := g.cfg.Registrar.End(c.Request.Context(), caller); err != nil {
		return ocpi.Response{}, err
	}
	return ocpi.Answered(nil), nil
}

// clientInfo answers GET hubclientinfo (2.2.1 mod_hub_client_info, Sender
// Interface): paged, without the caller's own parties.
func (g *Gateway) clientInfo(c *gin.Context, caller parties.Caller) (ocpi.Response, error) {
	if _, err := version(c); err != nil {
		return ocpi.Response{}, err
	}
	if !caller.MayRoute() {
		return ocpi.Response{}, unauthorized("this credentials token opens versions and credentials only")
	}
	if c.Request.Method != http.MethodGet {
		return ocpi.Response{}, ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.ClientError, "the hub's hubclientinfo can only be read")
	}
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		return ocpi.Response{}, ocpi.Errorf(ocpi.InvalidParameters, "the query is not valid: %v", err)
	}
	query, err := ocpi.ParsePaging(values)
	if err != nil {
		return ocpi.Response{}, err
	}
	infos, total := g.cfg.Directory.Snapshot().ClientInfos(caller.Entry, query)
	response := ocpi.Answered(infos)
	response.Headers = query.Headers(g.cfg.Registrar.Hub().PublicURL+c.Request.URL.EscapedPath(), len(infos), total)
	return response, nil
}
