package routing

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"busbar/ocpi"
	"busbar/parties"
)

// paramCursor is the query parameter of the hub's own links that says where a
// list goes on.
const paramCursor = "cursor"

// errCursor is for a cursor of a gathered list that the hub did not give out, or
// not for this request.
var errCursor = ocpi.Errorf(ocpi.InvalidParameters,
	"parameter %s: it is not one of this hub's links for this list, platform and filters; begin the list again without it", paramCursor)

// catalogCursor writes the place in the catalog's order behind which a page
// begins. It is no secret: every page is checked for what its reader may see.
func catalogCursor(m ocpi.ModuleID, after int64) string {
	raw := binary.AppendUvarint(nil, uint64(after))
	return base64.RawURLEncoding.EncodeToString(append(raw, cursorCheck(m, raw)...))
}

// errCatalogCursor is for one that the hub did not give out, or for another
// module. It is bound to nothing else.
func errCatalogCursor(m ocpi.ModuleID) *ocpi.Error {
	return ocpi.Errorf(ocpi.InvalidParameters,
		"parameter %s: it is not one of this hub's links to a list of %s; begin the list again without it", paramCursor, m)
}

// readCatalogCursor reverses catalogCursor. It refuses a cursor that was cut,
// mistyped, or made for another module: each that catalogCursor does not write,
// so that one with a line break in it, which base64 passes over, is none either.
func readCatalogCursor(m ocpi.ModuleID, cursor string) (after int64, refusal *ocpi.Error) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return 0, errCatalogCursor(m)
	}
	value, n := binary.Uvarint(raw)
	if n <= 0 || int64(value) <= 0 || cursor != catalogCursor(m, int64(value)) {
		return 0, errCatalogCursor(m)
	}
	return int64(value), nil
}

func cursorCheck(m ocpi.ModuleID, raw []byte) []byte {
	sum := sha256.Sum256(append([]byte("cursor/"+string(m)+"/"), raw...))
	return sum[:3]
}

// gatherCursor is where a list that is gathered live goes on. It travels with
// the requester, sealed, so that every replica can go on with it.
type gatherCursor struct {
	Party ocpi.PartyKey `json:"p"`
	listPlace
	// Skip are the objects of that page that were given already, when the party
	// sends more than were asked for.
	Skip int `json:"s,omitempty"`
	// Total is how many objects there were in all when the list began; -1 when
	// nobody could tell.
	Total int `json:"t"`
	// Asked stands for the requester and its filters.
	Asked string `json:"a"`
	// Expires is in Unix seconds.
	Expires int64 `json:"e"`
}

const (
	// cursorLife is how long a requester may take from one page to the next.
	cursorLife = 24 * time.Hour
	// longestCursor bounds what is looked at: a party's link, sealed and in
	// base64, with room for the rest.
	longestCursor = 4096
)

// cursorContext is what a sealed cursor is bound to.
func cursorContext(caller *parties.Entry, m ocpi.ModuleID) string {
	return "list-cursor/" + string(m) + "/" + string(caller.Platform.ID)
}

// fingerprint stands for the requester and its filters in a cursor, whatever the order
// and escapes they are written in: a client may write a link anew.
func fingerprint(from ocpi.PartyKey, q *listQuery) string {
	sum := sha256.Sum256([]byte(from.String() + "?" + q.values.Encode()))
	return hex.EncodeToString(sum[:8])
}

// seal writes the cursor of the next page.
func (c gatherCursor) seal(s Sealer, context string, now time.Time) (string, error) {
	c.Expires = now.Add(cursorLife).Unix()
	var plain strings.Builder
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false) // every & of a link would take six characters
	if err := enc.Encode(c); err != nil {
		return "", err
	}
	sealed, err := s.Seal(plain.String(), context)
	if err == nil && len(sealed) > longestCursor {
		err = fmt.Errorf("it would have %d characters", len(sealed))
	}
	return sealed, err
}

// openGatherCursor reads a cursor of this requester and these filters.
func openGatherCursor(s Sealer, sealed, context, asked string, now time.Time) (gatherCursor, *ocpi.Error) {
	var c gatherCursor
	if len(sealed) > longestCursor {
		return c, errCursor
	}
	plain, err := s.Open(sealed, context)
	if err != nil || json.Unmarshal([]byte(plain), &c) != nil || c.Asked != asked {
		return gatherCursor{}, errCursor
	}
	if now.Unix() >= c.Expires {
		return gatherCursor{}, ocpi.Errorf(ocpi.InvalidParameters,
			"parameter %s: it is older than %d hours; begin the list again without it", paramCursor, int(cursorLife.Hours()))
	}
	return c, nil
}
