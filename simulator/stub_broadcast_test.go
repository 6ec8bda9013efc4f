package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"busbar/ocpi"
)

// clientInfoListPath is where the stub hub lists its parties.
const clientInfoListPath = detailsPath + "/hubclientinfo"

// stubMemory is what the stub hub keeps to broadcast, to answer GET All, to find
// receivers of open messages, and to tell who is offline.
type stubMemory struct {
	// stores are what was broadcast, by module.
	stores map[ocpi.ModuleID]owned
	// sessions and steered are the CPO of a session, and who set its profile.
	sessions, steered map[string]ocpi.Address
	// busy counts what waits in the lanes; fewer tells that it went down.
	busy  int
	fewer *sync.Cond
	lanes sync.WaitGroup
	ended chan struct{}
}

func newStubMemory() stubMemory {
	location := owned{
		docs: newShelf(0), id: "id", parts: 2, unknown: ocpi.UnknownLocation, now: time.Now,
		methods: []string{http.MethodPut, http.MethodPatch},
	}
	tariff := owned{
		docs: newShelf(0), id: "id", unknown: ocpi.ClientError, now: time.Now,
		methods: []string{http.MethodPut, http.MethodDelete},
	}
	return stubMemory{
		stores:   map[ocpi.ModuleID]owned{ocpi.ModuleLocations: location, ocpi.ModuleTariffs: tariff},
		sessions: map[string]ocpi.Address{}, steered: map[string]ocpi.Address{}, ended: make(chan struct{}),
	}
}

// stubRequest is a functional request, taken apart.
type stubRequest struct {
	r        *http.Request
	face     face
	rest     string // escaped, behind the module
	segments []string
	body     []byte
	from, to ocpi.Address
}

// route decides as the hub does (2.2.1 transport_and_format, Message Routing).
func (h *stubHub) route(w http.ResponseWriter, r *http.Request, caller *stubPeer) {
	if r.URL.Path == clientInfoListPath {
		h.listClientInfos(w, caller)
		return
	}
	parts := strings.SplitN(strings.TrimPrefix(r.URL.EscapedPath(), detailsPath+"/"), "/", 3)
	in := stubRequest{r: r, face: face{ocpi.ModuleID(parts[1]), ocpi.InterfaceRole(strings.ToUpper(parts[0]))}}
	in.rest = strings.TrimPrefix(r.URL.EscapedPath(), in.face.path())
	for segment := range strings.SplitSeq(strings.Trim(in.rest, "/"), "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			h.t.Error(err)
		}
		in.segments = append(in.segments, plain)
	}
	in.body, _ = io.ReadAll(r.Body)
	var err error
	in.from, err = ocpi.ParseAddress("from", r.Header.Get(ocpi.HeaderFromCountryCode), r.Header.Get(ocpi.HeaderFromPartyID))
	if err != nil || in.from.IsZero() {
		h.t.Errorf("%s %s: no FROM: %v", r.Method, r.URL.Path, err)
	}
	in.to, err = ocpi.ParseAddress("to", r.Header.Get(ocpi.HeaderToCountryCode), r.Header.Get(ocpi.HeaderToPartyID))
	if err != nil {
		h.t.Error(err)
	}
	asks := in.face == face{ocpi.ModuleTokens, ocpi.Sender} && r.Method == http.MethodPost
	switch {
	case asks && (in.to.IsZero() || in.to.Party == hubParty):
		h.ask(w, in, caller)
	case in.to.IsZero():
		h.open(w, in)
	case in.to.Party != hubParty:
		h.forward(w, in, in.to)
	case r.Method == http.MethodGet:
		h.list(w, in)
	default:
		h.broadcast(w, in, caller)
	}
}

// answerAs answers as the hub itself.
func (h *stubHub) answerAs(w http.ResponseWriter, in stubRequest, a reply) {
	setRouting(w.Header(), ocpi.AddressOf(hubParty), in.from)
	for _, header := range a.headers {
		w.Header().Set(header.Name, header.Value)
	}
	status := a.http
	if status == 0 {
		status = http.StatusOK
	}
	h.respond(w, status, a.envelope(time.Now()))
}

// broadcast keeps a push and sends it to the parties of the other role, with
// FROM = hub; the answer does not wait for them.
func (h *stubHub) broadcast(w http.ResponseWriter, in stubRequest, caller *stubPeer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if store, kept := h.stores[in.face.module]; kept {
		a := store.handle(inbound{method: in.r.Method, segments: in.segments, body: in.body, from: in.from})
		if a.status != ocpi.Success {
			h.answerAs(w, in, a)
			return
		}
	}
	for _, peer := range h.peers {
		for _, role := range peer.out.Roles {
			if peer != caller && !peer.offline && role.Role.Implements(in.face.module, in.face.side) {
				h.queueLeg(in, peer, ocpi.AddressOf(role.Party))
			}
		}
	}
	h.answerAs(w, in, answer(nil))
}

// queueLeg is called with h.mu held, so that legs keep the order of broadcasts.
func (h *stubHub) queueLeg(in stubRequest, peer *stubPeer, to ocpi.Address) {
	target := peer.endpoint(in.face)
	if target == "" {
		return
	}
	h.queue(peer, func() {
		if resp, body, err := h.exchange(in, peer, target, ocpi.AddressOf(hubParty), to); err == nil && resp.StatusCode != 200 {
			// Whoever came late lacks the Location.
			if in.r.Method != http.MethodPatch || resp.StatusCode != http.StatusNotFound {
				h.t.Errorf("%s %s to %s: %s", in.r.Method, in.rest, to.Party, body)
			}
		}
	})
}

// queue is called with h.mu held.
func (h *stubHub) queue(peer *stubPeer, do func()) {
	if peer.lane == nil {
		peer.lane = make(chan func(), 1<<16)
		h.lanes.Go(func() {
			for {
				select {
				case do := <-peer.lane:
					do()
					h.mu.Lock()
					h.busy--
					h.mu.Unlock()
					h.fewer.Broadcast()
				case <-h.ended:
					return
				}
			}
		})
	}
	h.busy++
	peer.lane <- do
}

// settle waits until at most so much of what was broadcast is under way.
func (h *stubHub) settle(most int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.busy > most {
		h.fewer.Wait()
	}
}

func (h *stubHub) endLanes() {
	close(h.ended)
	h.lanes.Wait()
}

func (p *stubPeer) endpoint(f face) string {
	for _, e := range p.endpoints {
		if e.Identifier == f.module && e.Role == f.side {
			return e.URL
		}
	}
	return ""
}

// list answers GET All from what was broadcast, page by page.
func (h *stubHub) list(w http.ResponseWriter, in stubRequest) {
	store, kept := h.stores[in.face.module]
	if !kept || in.face.side != ocpi.Sender || in.rest != "" {
		h.t.Errorf("GET %s %s with TO = hub", in.face.module, in.rest)
	}
	const mostPerPage = 20
	page := inbound{query: in.r.URL.Query(), self: h.server.URL + in.face.path()}
	h.answerAs(w, in, page.list(store.docs, ocpi.PartyKey{}, mostPerPage))
}

// open finds the receiver by the message itself; what it does not know it
// refuses.
func (h *stubHub) open(w http.ResponseWriter, in stubRequest) {
	var body commandBody
	_ = json.Unmarshal(in.body, &body) // other modules have other bodies
	h.mu.Lock()
	var to ocpi.Address
	switch in.face {
	case face{ocpi.ModuleCommands, ocpi.Receiver}:
		to = h.sessions[body.SessionID]
		for _, key := range h.stores[ocpi.ModuleLocations].docs.keys() {
			if owner, id, _ := strings.Cut(key, "/"); id == fold(body.LocationID) {
				party, _ := ocpi.ParseParty(owner) // the key is the stub's own
				to = ocpi.AddressOf(party)
			}
		}
	case face{ocpi.ModuleChargingProfiles, ocpi.Receiver}:
		to = h.sessions[in.segments[0]]
	case face{ocpi.ModuleChargingProfiles, ocpi.Sender}:
		to = h.steered[in.segments[0]]
	}
	h.mu.Unlock()
	if to.IsZero() {
		h.t.Errorf("%s %s %s %s: the receiver cannot be found", in.r.Method, in.face, in.rest, in.body)
		h.answerAs(w, in, refuse(ocpi.Errorf(ocpi.UnknownReceiver, "nobody is known")))
		return
	}
	h.forward(w, in, to)
}

// ask sends an authorisation to one eMSP after the other until one knows the
// token.
func (h *stubHub) ask(w http.ResponseWriter, in stubRequest, caller *stubPeer) {
	h.mu.Lock()
	var parties []ocpi.PartyKey
	for _, peer := range h.peers {
		for _, role := range peer.out.Roles {
			if peer != caller && !peer.offline && role.Role == ocpi.RoleEMSP {
				parties = append(parties, role.Party)
			}
		}
	}
	h.mu.Unlock()
	for _, party := range parties {
		to := ocpi.AddressOf(party)
		peer, target := h.receiver(party, in.face)
		resp, body, err := h.exchange(in, peer, target, in.from, to)
		if err != nil || resp.StatusCode == http.StatusNotFound {
			continue
		}
		setRouting(w.Header(), to, in.from)
		h.respond(w, resp.StatusCode, body)
		return
	}
	h.answerAs(w, in, missing(ocpi.UnknownToken, "no eMSP knows the token"))
}

// remember learns from what passes who has which session.
func (h *stubHub) remember(in stubRequest, to ocpi.PartyKey, answer []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case in.face == face{ocpi.ModuleSessions, ocpi.Receiver} && in.r.Method == http.MethodPut:
		h.sessions[in.segments[2]] = in.from
	case in.face == face{ocpi.ModuleChargingProfiles, ocpi.Receiver} && strings.Contains(string(answer), accepted):
		h.steered[in.segments[0]] = in.from
	}
}

// setOffline notes whether a peer is there and tells the others of a change.
func (h *stubHub) setOffline(peer *stubPeer, offline bool) {
	h.mu.Lock()
	change := peer.offline != offline
	if change {
		peer.offline, peer.changed = offline, time.Now()
	}
	h.mu.Unlock()
	if change {
		h.tellAll(peer)
	}
}

func (p *stubPeer) clientInfos() []ocpi.ClientInfo {
	status := ocpi.Connected
	if p.offline {
		status = ocpi.Offline
	}
	var infos []ocpi.ClientInfo
	for _, role := range p.out.Roles {
		infos = append(infos, ocpi.ClientInfo{
			CountryCode: role.Party.CountryCode(), PartyID: role.Party.PartyID(), Role: role.Role, Status: status,
			LastUpdated: ocpi.FormatTime(p.changed),
		})
	}
	return infos
}

// tellAll pushes a peer's ClientInfo to all others (O4).
func (h *stubHub) tellAll(about *stubPeer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, peer := range h.peers {
		if peer == about || peer.offline {
			continue
		}
		for _, info := range about.clientInfos() {
			target := peer.endpoint(clientInfoFace) + "/" + info.CountryCode + "/" + info.PartyID
			h.queue(peer, func() { h.push(peer, target, encode(info)) })
		}
	}
}

func (h *stubHub) push(peer *stubPeer, target string, body []byte) {
	req, _ := http.NewRequest(http.MethodPut, target, strings.NewReader(string(body)))
	req.Header.Set("Authorization", peer.out.Token.Authorization(ocpi.TokenBase64))
	resp, err := h.client.Do(req)
	if err != nil {
		h.setOffline(peer, true)
		return
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || resp.Header.Get(ocpi.HeaderToPartyID) != "" {
		h.t.Errorf("PUT %s %s: HTTP %d %s", target, body, resp.StatusCode, text)
	}
}

func (h *stubHub) listClientInfos(w http.ResponseWriter, caller *stubPeer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	infos := []ocpi.ClientInfo{}
	for _, peer := range h.peers {
		if peer != caller {
			infos = append(infos, peer.clientInfos()...)
		}
	}
	w.Header().Set(ocpi.HeaderTotalCount, strconv.Itoa(len(infos)))
	h.respond(w, 200, ocpi.Envelope(infos, ocpi.Success, ""))
}
