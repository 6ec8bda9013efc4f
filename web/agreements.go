package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
)

// agreementJSON lets two parties exchange modules; no module is all of them. The
// party "*" is every party.
type agreementJSON struct {
	Parties []string        `json:"parties"`
	Modules []ocpi.ModuleID `json:"modules"`
}

// everyParty stands for every party, which is the zero PartyKey.
const everyParty = "*"

func showAgreement(a parties.Agreement) agreementJSON {
	out := agreementJSON{Modules: append([]ocpi.ModuleID{}, a.Modules...)}
	for _, p := range a.Parties {
		if p.IsZero() {
			out.Parties = append(out.Parties, everyParty)
		} else {
			out.Parties = append(out.Parties, p.String())
		}
	}
	return out
}

// agreement checks the input. Every fault is reported, by field.
func (in agreementJSON) agreement(hub ocpi.PartyKey) (parties.Agreement, fields) {
	faults := fields{}
	a := parties.Agreement{Parties: pair(in.Parties, faults)}
	for i, name := range in.Parties {
		if party, err := ocpi.ParseParty(strings.TrimSpace(name)); err == nil && party == hub {
			faults[fmt.Sprintf("parties[%d]", i)] = "is this hub, which needs no agreement"
		}
	}
	for i, name := range in.Modules {
		at := fmt.Sprintf("modules[%d]", i)
		module, err := ocpi.ParseModuleID(string(name))
		switch {
		case err != nil:
			faults[at] = err.Error()
		case module.IsConfiguration():
			faults[at] = string(module) + " is between a platform and the hub, and needs no agreement"
		case slices.Contains(a.Modules, module):
			faults[at] = string(module) + " stands twice"
		}
		a.Modules = append(a.Modules, module)
	}
	return a, faults
}

// pair reads two parties, the lesser first.
func pair(names []string, faults fields) (p [2]ocpi.PartyKey) {
	if len(names) != 2 {
		faults["parties"] = `must be two parties, like NLCPA and DEMSP; "*" is every party`
		return p
	}
	for i, name := range names {
		name = strings.TrimSpace(name)
		if name == everyParty {
			continue
		}
		var err error
		if p[i], err = ocpi.ParseParty(name); err != nil {
			faults[fmt.Sprintf("parties[%d]", i)] = err.Error()
		}
	}
	if len(faults) == 0 && p[0] == p[1] && !p[0].IsZero() {
		faults["parties"] = "must be two different parties"
	}
	if slices.Compare(p[0][:], p[1][:]) > 0 {
		p[0], p[1] = p[1], p[0]
	}
	return p
}

// listAgreements shows all agreements, or those of one party, in the order of
// their parties; those with every party count for each.
func (s *Server) listAgreements(c *gin.Context) {
	p := parameters{c: c, faults: fields{}}
	party := p.party("party")
	if p.failed() {
		return
	}
	items := []agreementJSON{}
	for _, a := range s.cfg.Directory.Snapshot().Agreements() {
		if party.IsZero() || slices.Contains(a.Parties[:], party) || slices.Contains(a.Parties[:], ocpi.PartyKey{}) {
			items = append(items, showAgreement(a))
		}
	}
	c.JSON(http.StatusOK, gin.H{"items": items, "next": "", "policy": s.policy()})
}

// policy says who may talk without an agreement (BUSBAR_AGREEMENTS).
func (s *Server) policy() string {
	if s.cfg.Directory.AgreementsRequired() {
		return "closed"
	}
	return "open"
}

func (s *Server) putAgreement(c *gin.Context) {
	var in agreementJSON
	if !decode(c, &in) {
		return
	}
	a, faults := in.agreement(s.cfg.Registrar.Hub().Party)
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the agreement breaks a rule", faults)
		return
	}
	noteTarget(c, pairName(a.Parties))
	before := s.agreed(a.Parties)
	a, err := s.cfg.Registrar.Agree(c.Request.Context(), a)
	if err != nil {
		s.failWith(c, err)
		return
	}
	noteChange(c, "modules", before, modulesName(a))
	c.JSON(http.StatusOK, showAgreement(a))
}

// agreed are the modules of a pair's agreement, as the audit trail has them;
// empty when there is none.
func (s *Server) agreed(pair [2]ocpi.PartyKey) string {
	for _, a := range s.cfg.Directory.Snapshot().Agreements() {
		if a.Parties == pair {
			return modulesName(a)
		}
	}
	return ""
}

func modulesName(a parties.Agreement) string {
	if len(a.Modules) == 0 {
		return "all"
	}
	names := make([]string, len(a.Modules))
	for i, m := range a.Modules {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

func pairName(pair [2]ocpi.PartyKey) string {
	return strings.Join(showAgreement(parties.Agreement{Parties: pair}).Parties, ",")
}

// deleteAgreement takes the parties from the query, or from the body that made
// the agreement.
func (s *Server) deleteAgreement(c *gin.Context) {
	var in agreementJSON
	if v := c.Query("parties"); v != "" {
		in.Parties = strings.Split(v, ",")
	} else if c.Request.ContentLength != 0 && !decode(c, &in) {
		return
	}
	faults := fields{}
	parted := pair(in.Parties, faults)
	if len(faults) > 0 {
		fail(c, http.StatusUnprocessableEntity, "the call breaks a rule", faults)
		return
	}
	noteTarget(c, pairName(parted))
	before := s.agreed(parted)
	err := s.cfg.Registrar.Disagree(c.Request.Context(), parted)
	switch {
	case errors.Is(err, parties.ErrNoAgreement):
		fail(c, http.StatusNotFound, "no such agreement", nil)
	case err != nil:
		s.failWith(c, err)
	default:
		noteChange(c, "modules", before, "")
		c.Status(http.StatusNoContent)
	}
}
