package web

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"busbar/access"
)

// route is one call of the admin API.
type route struct {
	method, path string
	// least is the role that is needed.
	least access.Role
	// action is what the audit trail calls the change that the call makes. Empty
	// says that it makes none.
	action access.Action
	handle gin.HandlerFunc
}

// routes is the one place that says what the admin API has, who may call it and
// what is taken note of.
func (s *Server) routes() []route {
	const nothing access.Action = ""
	get, post, put, patch, del := http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete
	return []route{
		{get, "/openapi.yaml", access.Viewer, nothing, showOpenAPI},
		{get, "/platforms", access.Viewer, nothing, s.listPlatforms},
		{post, "/platforms", access.Operator, "platform.create", s.createPlatform},
		{get, "/platforms/:id", access.Viewer, nothing, s.showPlatform},
		{patch, "/platforms/:id", access.Operator, "platform.change", s.patchPlatform},
		{del, "/platforms/:id", access.Operator, "platform.delete", s.deletePlatform},
		{post, "/platforms/:id/token", access.Operator, "platform.token", s.issueToken},
		{post, "/platforms/:id/connect", access.Operator, "platform.connect", s.connectPlatform},
		{post, "/platforms/:id/rotate", access.Operator, "platform.rotate", s.rotatePlatform},
		{post, "/platforms/:id/suspend", access.Operator, "platform.suspend", s.change(s.cfg.Registrar.Suspend)},
		{post, "/platforms/:id/resume", access.Operator, "platform.resume", s.change(s.cfg.Registrar.Resume)},
		{get, "/messages", access.Viewer, nothing, s.listMessages},
		{get, "/messages/stream", access.Viewer, nothing, s.streamMessages},
		{get, "/messages/:correlation_id", access.Viewer, nothing, s.showMessage},
		{post, "/explain", access.Viewer, nothing, s.explain},
		{post, "/erase", access.Operator, "personal.erase", s.eraseToken},
		{get, "/agreements", access.Viewer, nothing, s.listAgreements},
		{put, "/agreements", access.Operator, "agreement.put", s.putAgreement},
		{del, "/agreements", access.Operator, "agreement.delete", s.deleteAgreement},
		{get, "/catalog/locations", access.Viewer, nothing, s.showCatalog},
		{get, "/overview", access.Viewer, nothing, s.overview},
		{get, "/tokens", access.Viewer, nothing, s.listTokens},
		{post, "/tokens", access.Operator, "token.create", s.createToken},
		{get, "/tokens/:id", access.Viewer, nothing, s.showToken},
		{del, "/tokens/:id", access.Operator, "token.delete", s.deleteToken},
		{post, "/tokens/:id/rotate", access.Operator, "token.rotate", s.rotateToken},
		{get, "/audit", access.Viewer, nothing, s.listAudit},
	}
}

// mount puts the role before every call, and the audit trail around every
// change.
func (s *Server) mount(api *gin.RouterGroup) {
	for _, r := range s.routes() {
		chain := gin.HandlersChain{s.require(r)}
		if r.action != "" {
			chain = append(chain, s.audited(r))
		}
		api.Handle(r.method, r.path, append(chain, r.handle)...)
	}
}

func showOpenAPI(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openAPI) }
