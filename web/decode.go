package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"busbar/ocpi"
	"busbar/parties"
)

// maxAdminBody is the largest request body of the admin API, in bytes.
const maxAdminBody = 1 << 20

// decode reads a JSON object strictly: an unknown field is a typing mistake
// that must not pass in silence. It answers 400 or 413 itself when it returns
// false.
func decode(c *gin.Context, into any) bool {
	raw, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxAdminBody))
	if err == nil {
		err = decodeObject(raw, into)
	}
	if err == nil {
		return true
	}
	var tooLarge *http.MaxBytesError
	var wrongType *json.UnmarshalTypeError
	var field *fieldError
	switch {
	case errors.As(err, &field):
		fail(c, http.StatusBadRequest, field.message, fields{field.field: field.rule})
	case errors.As(err, &tooLarge):
		fail(c, http.StatusRequestEntityTooLarge, fmt.Sprintf("body has more than %d bytes", maxAdminBody), nil)
	case errors.As(err, &wrongType):
		fail(c, http.StatusBadRequest, "body is not as expected", fields{wrongType.Field: "wrong JSON type: " + wrongType.Value})
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		name := strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		fail(c, http.StatusBadRequest, "body has an unknown field", fields{name: "is not a field of this call"})
	default:
		fail(c, http.StatusBadRequest, "body is not a JSON object: "+err.Error(), nil)
	}
	return false
}

func decodeObject(raw []byte, into any) error {
	if err := ocpi.CheckJSON(raw); err != nil {
		return err
	}
	if raw = bytes.TrimSpace(raw); raw[0] != '{' {
		return errors.New("it is another JSON value")
	}
	if err := checkMembers(raw); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// fieldError is a field that a body must not have.
type fieldError struct{ message, field, rule string }

func (e *fieldError) Error() string { return e.message }

// checkMembers refuses what could be read in two ways: a name that stands twice in
// one object, or is written otherwise than the API does. encoding/json takes the
// last of several, and ROLE for role.
func checkMembers(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	// open has the names in each open object; nil is an array.
	var open []map[string]bool
	isName := false
	for {
		token, err := d.Token()
		if err != nil {
			return nil // the end: CheckJSON has seen that the text is JSON
		}
		switch name, isText := token.(string); {
		case token == json.Delim('{'):
			open, isName = append(open, map[string]bool{}), true
			continue
		case token == json.Delim('['):
			open, isName = append(open, nil), false
			continue
		case token == json.Delim('}') || token == json.Delim(']'):
			open = open[:len(open)-1]
		case isName && isText:
			names := open[len(open)-1]
			if strings.ContainsFunc(name, notInNames) {
				return &fieldError{"body has an unknown field", name, "is not a field of this call"}
			}
			if names[name] {
				return &fieldError{"body has a field twice", name, "stands twice"}
			}
			names[name], isName = true, false
			if name == "body" && len(open) == 1 {
				// That of an OCPI request, which explain takes as it is.
				var whole json.RawMessage
				_, isName = d.Decode(&whole), true
			}
			continue
		}
		isName = len(open) > 0 && open[len(open)-1] != nil
	}
}

func notInNames(r rune) bool { return (r < 'a' || r > 'z') && r != '_' }

type roleJSON struct {
	CountryCode string `json:"country_code"`
	PartyID     string `json:"party_id"`
	Role        string `json:"role"`
}

// platformInput is the body of POST and PATCH; absent fields stay nil.
type platformInput struct {
	Name    *string         `json:"name"`
	Roles   *[]roleJSON     `json:"roles"`
	Version *string         `json:"version"`
	Quirks  *parties.Quirks `json:"quirks"`
	// ClientCertificate is a string, or null for none.
	ClientCertificate json.RawMessage `json:"client_certificate"`
}

// amendment checks the input. Every fault is reported, by field.
func (in platformInput) amendment(hub ocpi.PartyKey) (parties.Amendment, fields) {
	faults := fields{}
	a := parties.Amendment{Quirks: in.Quirks}
	if in.Name != nil {
		name := checkName(*in.Name, faults)
		a.Name = &name
	}
	if in.Roles != nil {
		roles := checkRoles(*in.Roles, hub, faults)
		a.Approved = &roles
	}
	if in.Version != nil {
		v := ocpi.Version(*in.Version)
		if v != "" && !v.Supported() {
			faults["version"] = fmt.Sprintf("must be one of %v, or empty for the latest that both sides speak", ocpi.Versions)
		}
		a.VersionLimit = &v
	}
	if in.Quirks != nil {
		checkQuirks(in.Quirks, faults)
	}
	if in.ClientCertificate != nil {
		a.ClientCertificate = checkCertificate(in.ClientCertificate, faults)
	}
	return a, faults
}

// checkCertificate reads the key of a client certificate; null is none.
func checkCertificate(raw json.RawMessage, faults fields) *parties.CertificateKey {
	var text *string
	key, err := parties.CertificateKey(""), json.Unmarshal(raw, &text)
	if err == nil && text != nil {
		key, err = parties.ParseCertificateKey(*text)
	} else if err != nil {
		err = errors.New("must be a string or null")
	}
	if err != nil {
		faults["client_certificate"] = err.Error()
	}
	return &key
}

// checkName reads the name of a platform or token; space around it is dropped.
func checkName(in string, faults fields) string {
	name := strings.TrimSpace(in)
	if n := utf8.RuneCountInString(name); n < 1 || n > 100 {
		faults["name"] = "must have 1 to 100 characters"
	} else if strings.ContainsFunc(name, unicode.IsControl) {
		faults["name"] = "must have no control characters"
	}
	return name
}

func checkRoles(in []roleJSON, hub ocpi.PartyKey, faults fields) []ocpi.PartyRole {
	roles := make([]ocpi.PartyRole, 0, len(in))
	seen := make(map[ocpi.PartyRole]bool, len(in))
	for i, r := range in {
		at := fmt.Sprintf("roles[%d]", i)
		party, err := ocpi.ParsePartyKey(r.CountryCode, r.PartyID)
		if err != nil {
			faults[at] = err.Error()
			continue
		}
		role, err := ocpi.ParseRole(r.Role)
		if err != nil {
			faults[at+".role"] = err.Error()
			continue
		}
		pr := ocpi.PartyRole{Party: party, Role: role}
		switch {
		case party == hub:
			faults[at] = party.String() + " is this hub"
		case seen[pr]:
			faults[at] = pr.String() + " stands twice"
		}
		seen[pr] = true
		roles = append(roles, pr)
	}
	return roles
}

func checkQuirks(q *parties.Quirks, faults fields) {
	for i, m := range q.HideModules {
		if m == ocpi.ModuleCredentials || !m.IsStandard() && m != ocpi.ModuleHubClientInfo {
			faults[fmt.Sprintf("quirks.hide_modules[%d]", i)] = "must be a module that the hub lists, other than credentials"
		}
	}
	if q.TokenForm != "" && q.TokenForm != ocpi.TokenBase64 && q.TokenForm != ocpi.TokenPlain {
		faults["quirks.token_form"] = "must be base64 or plain"
	}
	if q.RegisterStatus != 0 && q.RegisterStatus != 200 && q.RegisterStatus != 201 {
		faults["quirks.register_status"] = "must be 200 or 201"
	}
	if q.ExtraRole != "" {
		role, err := ocpi.ParseRole(string(q.ExtraRole))
		if err == nil && role == ocpi.RoleHub {
			err = errors.New("HUB is reported anyway")
		}
		if err != nil {
			faults["quirks.extra_role"] = err.Error()
		}
		q.ExtraRole = role
	}
}
