package sqldb

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
	"busbar/storage/seal"
)

// parcelRow is a row of migration 00009. Put is read by previous binaries only.
type parcelRow struct {
	ID         int64
	Replica    string
	ObjectHash []byte
	Owner      string
	Put        bool
	Sealed     *string
}

func (parcelRow) TableName() string { return "outbox_parcels" }

// parcelHead is what is sealed of a broadcast before its body. What is a sender's
// may be any bytes, which JSON text cannot hold.
type parcelHead struct {
	Object        []byte             `json:"object"`
	Owner         ocpi.PartyKey      `json:"owner"`
	From          ocpi.PartyKey      `json:"from"`
	Platform      parties.PlatformID `json:"platform"`
	Accepted      time.Time          `json:"accepted"`
	CorrelationID []byte             `json:"correlation_id"`
	Method        string             `json:"method"`
	Version       ocpi.Version       `json:"version"`
	Module        ocpi.ModuleID      `json:"module"`
	Path          []byte             `json:"path"`
	Query         []byte             `json:"query"`
}

// rows are broadcasts with the numbers from first on.
func (s *Outbox) rows(replica routing.ReplicaID, first int64, broadcasts []*routing.Broadcast) ([]parcelRow, error) {
	rows := make([]parcelRow, len(broadcasts))
	for i, b := range broadcasts {
		head, err := json.Marshal(parcelHead{
			[]byte(b.Object), b.Owner, b.From, b.Platform, b.Accepted, []byte(b.CorrelationID),
			b.Method, b.Version, b.Module, []byte(b.Path), []byte(b.Query),
		})
		if err != nil {
			return nil, err
		}
		id := first + int64(i)
		// JSON in one line: the body, whose bytes are kept, is behind its end.
		sealed, err := s.sealer.Seal(string(head)+"\n"+string(b.Body), seal.Parcel, strconv.FormatInt(id, 10))
		if err != nil {
			return nil, err
		}
		owner, hashes := s.object(b.Object)
		rows[i] = parcelRow{id, string(replica), hashes[0], owner, b.Method == "PUT", &sealed}
	}
	return rows, nil
}

// errParcel says nothing of what the parcel holds.
var errParcel = errors.New("the parcel is not what this hub writes")

// open reverses rows.
func (row *parcelRow) open(sealer *seal.Sealer) (*routing.Broadcast, error) {
	plain, err := sealer.Open(*row.Sealed, seal.Parcel, strconv.FormatInt(row.ID, 10))
	if err != nil {
		return nil, err
	}
	head, body, ok := strings.Cut(plain, "\n")
	var h parcelHead
	if !ok || json.Unmarshal([]byte(head), &h) != nil {
		return nil, errParcel
	}
	return &routing.Broadcast{
		Object: string(h.Object), Owner: h.Owner, From: h.From, Platform: h.Platform, Accepted: h.Accepted,
		CorrelationID: string(h.CorrelationID), Method: h.Method, Version: h.Version, Module: h.Module,
		Path: string(h.Path), Query: string(h.Query), Body: []byte(body), Parcel: row.ID,
	}, nil
}

// object reads Broadcast.Object, like "tokens/NLCPA/uid": its owner, and what
// stands for the rest.
func (s *Outbox) object(name string) (owner string, hashes [][]byte) {
	module, rest, _ := strings.Cut(name, "/")
	owner, id, _ := strings.Cut(rest, "/")
	return owner, s.hashes(module, id)
}

// objectHashSize is the length of an object's hash in bytes.
const objectHashSize = 16

// hashes are of a module and a folded id, without its owner: who asks for a driver's
// token to be erased need not know who issued it. The first is written.
func (s *Outbox) hashes(module, id string) [][]byte {
	names := s.sealer.Names().All(seal.ParcelObject, module+"/"+strings.ToLower(id))
	list := make([][]byte, len(names))
	for i := range names {
		list[i] = names[i][:objectHashSize]
	}
	return list
}

func insertParcels(tx *gorm.DB, rows []parcelRow) error {
	n := len(rows)
	ids, hashes, puts := make([]int64, n), make([][]byte, n), make([]bool, n)
	replicas, owners, sealed := make([]string, n), make([]string, n), make([]string, n)
	for i, row := range rows {
		ids[i], replicas[i], hashes[i], owners[i], puts[i], sealed[i] = row.ID, row.Replica, row.ObjectHash, row.Owner, row.Put, *row.Sealed
	}
	return insertMany(tx, "outbox_parcels", []column{
		{"id", "bigint", ids}, {"replica", "text", replicas}, {"object_hash", "bytea", hashes},
		{"owner", "text", owners}, {"put", "boolean", puts}, {"sealed", "text", sealed},
	}, "")
}
