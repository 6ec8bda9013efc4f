package web

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"busbar/journal"
	"busbar/ocpi"
	"busbar/parties"
)

// attentionJSON is one thing that needs an operator: what is wrong in words, and
// what to do.
type attentionJSON struct {
	// Severity is error, warning or info.
	Severity string `json:"severity"`
	// Subject is what it is about: a platform's name, a party, or a part of the
	// hub; Platform the id, if it is a platform.
	Subject  string             `json:"subject"`
	Platform parties.PlatformID `json:"platform,omitempty"`
	Text     string             `json:"text"`
	Action   string             `json:"action"`
}

// laneFull is how many legs may wait for a platform before that is worth a word.
const laneFull = 1000

// attention lists what needs an operator, the worst first.
func attention(o overviewJSON, failing []journal.Failing) []attentionJSON {
	list := []attentionJSON{}
	if !o.Catalog.Loaded {
		list = append(list, attentionJSON{
			Severity: "error", Subject: "catalog",
			Text:   "The catalog is not loaded yet, so Locations and Tariffs can be neither pushed to all nor listed.",
			Action: "Wait while it loads; if it takes minutes, look at the log and at the database.",
		})
	}
	if o.Partial {
		list = append(list, attentionJSON{
			Severity: "warning", Subject: "redis",
			Text:   "Redis does not answer, so the figures are those of one replica. Messages are routed all the same.",
			Action: "Look at Redis; what it carried is made good when it is back.",
		})
	}
	for _, f := range o.Platforms {
		list = append(list, f.attention()...)
	}
	for _, f := range failing {
		list = append(list, attentionJSON{
			Severity: "warning", Subject: f.Party.String(),
			Text:   fmt.Sprintf("%d messages to %s failed in the last minute, the last one with %q.", f.Failed, f.Party, f.Last),
			Action: fmt.Sprintf("Look at its messages: GET /api/v1/messages?to=%s&status=%s.", f.Party, f.Last),
		})
	}
	if len(o.Platforms) == 0 {
		list = append(list, attentionJSON{
			Severity: "info", Subject: "platforms", Text: "No platform is connected yet.",
			Action: "POST /api/v1/platforms with a name and its parties; hand the token_a of the answer " +
				"and the versions_url to the platform's operator.",
		})
	}
	severities := []string{"error", "warning", "info"}
	slices.SortStableFunc(list, func(a, b attentionJSON) int {
		return slices.Index(severities, a.Severity) - slices.Index(severities, b.Severity)
	})
	return list
}

func (f *feederJSON) attention() (list []attentionJSON) {
	who := strings.Join(f.Parties, ", ")
	switch {
	case f.unopened:
		list = append(list, attentionJSON{
			Severity: "error", Subject: f.Name, Platform: f.ID,
			Text:   fmt.Sprintf("Nothing can be sent to %s (%s): no secret in BUSBAR_SECRET_KEY opens the token with which the hub calls it.", f.Name, who),
			Action: "Add the old secret to the end of the list and restart; or let the platform renew its credentials (PUT), or connect to it anew.",
		})
	case f.Status == ocpi.Offline:
		since := ""
		if f.StatusSince != nil {
			since = " since " + f.StatusSince.Format(time.RFC3339)
		}
		list = append(list, attentionJSON{
			Severity: "error", Subject: f.Name, Platform: f.ID, Text: fmt.Sprintf("%s (%s) cannot be reached%s.", f.Name, who, since),
			Action: "Ask its operator whether it serves its versions URL; the hub goes on trying, and it is back with its first request.",
		})
	}
	if f.Queue >= laneFull {
		list = append(list, attentionJSON{
			Severity: "warning", Subject: f.Name, Platform: f.ID,
			Text:   fmt.Sprintf("%d updates wait for %s (%s), which takes them more slowly than they come.", f.Queue, f.Name, who),
			Action: "Ask its operator how many requests it can take at once; newer updates replace waiting ones.",
		})
	}
	return list
}
