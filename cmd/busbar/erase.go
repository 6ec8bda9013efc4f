package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"busbar/ocpi"
)

// eraseCommand erases what a running hub knows of a driver's token, through its
// admin API.
type eraseCommand struct {
	TokenUID   string `arg:"" name:"token-uid" help:"The token's uid, or - to read it from standard input: arguments are seen by everybody on the machine." env:"-"`
	Owner      string `help:"Only what is about the token of this eMSP; uids are unique for one party only." placeholder:"PARTY" env:"-"`
	AdminURL   string `name:"admin-url" default:"http://127.0.0.1:8081" help:"Admin listener of the hub, any replica (${default})." placeholder:"URL"`
	AdminToken string `help:"Bearer token of the admin API; better set as BUSBAR_ADMIN_TOKEN." placeholder:"TOKEN"`
}

// erasure is the answer of POST /api/v1/erase.
type erasure struct {
	Pseudonym         string
	Lessons, Messages int
}

// Run asks the hub, and says in words what was erased.
func (c *eraseCommand) Run(ctx context.Context, s streams) error {
	uid, err := c.uid(s)
	if err != nil {
		return err
	}
	target, err := c.target()
	if err != nil {
		return usageError{err}
	}
	if c.AdminToken == "" {
		return usageError{errors.New("BUSBAR_ADMIN_TOKEN is needed: the bearer token of the admin API")}
	}
	body, err := json.Marshal(map[string]string{"token_uid": uid, "owner": strings.TrimSpace(c.Owner)})
	if err != nil {
		return err
	}
	done, err := c.ask(ctx, target, body)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.out, done.text(c.Owner))
	return err
}

// uid reads the token's uid. Faults do not quote it.
func (c *eraseCommand) uid(s streams) (string, error) {
	uid := strings.TrimSpace(c.TokenUID)
	if uid == "-" {
		line, err := bufio.NewReader(io.LimitReader(s.in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the token's uid: %w", err)
		}
		uid = strings.TrimSpace(line)
	}
	if uid == "" {
		return "", usageError{errors.New("the uid of a token is needed")}
	}
	return uid, nil
}

func (c *eraseCommand) target() (string, error) {
	base, err := url.Parse(c.AdminURL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return "", errors.New("--admin-url: must be an http:// or https:// URL")
	}
	if owner := strings.TrimSpace(c.Owner); owner != "" {
		if _, err := ocpi.ParseParty(owner); err != nil {
			return "", fmt.Errorf("--owner: %w", err)
		}
	}
	return base.JoinPath("api/v1/erase").String(), nil
}

// ask calls the hub. No error holds the uid or the admin token.
func (c *eraseCommand) ask(ctx context.Context, target string, body []byte) (done erasure, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return done, err
	}
	request.Header.Set("Authorization", "Bearer "+c.AdminToken)
	request.Header.Set("Content-Type", "application/json")
	// An answer that leads elsewhere is none of this API's.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return done, fmt.Errorf("the hub cannot be asked: %w", err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return done, fmt.Errorf("the hub's answer cannot be read, so nobody knows how much was erased: call again: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return done, refusalOf(response.StatusCode, raw)
	}
	if err := json.Unmarshal(raw, &done); err != nil || done.Pseudonym == "" {
		return done, errors.New("the answer is not one of Busbar's admin API: is --admin-url right?")
	}
	return done, nil
}

// refusalOf reads an error of the admin API.
func refusalOf(status int, raw []byte) error {
	var said struct {
		Error  string
		Fields map[string]string
	}
	if json.Unmarshal(raw, &said) != nil || said.Error == "" {
		return fmt.Errorf("the hub answered HTTP %d", status)
	}
	text := said.Error
	for field, rule := range said.Fields {
		text += "; " + field + ": " + rule
	}
	return fmt.Errorf("the hub answered HTTP %d: %s", status, text)
}

// text says what was erased, what was not there, and what is out of reach.
func (e erasure) text(owner string) string {
	of := "the token"
	if owner != "" {
		of = "the token of " + strings.ToUpper(strings.TrimSpace(owner))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "In log and journal %s was called %s.\n", of, e.Pseudonym)
	sentence := func(n int, one, many, none string) {
		switch n {
		case 0:
			fmt.Fprintln(&b, none)
		case 1:
			fmt.Fprintln(&b, "Erased: 1 "+one)
		default:
			fmt.Fprintf(&b, "Erased: %d %s\n", n, many)
		}
	}
	sentence(e.Lessons, "note of which party it is of.", "notes of which party it is of.",
		"Not there: no note of which party it is of.")
	sentence(e.Messages, "message about it in the journal.", "messages about it in the journal.",
		"Not there: no message about it in the journal.")
	b.WriteString(`Other replicas have forgotten it within a few seconds.
Not in the hub's hands: what its peers hold. Parties that were sent the token, its
Sessions or CDRs have their own copies, and so may whoever collects this hub's log,
in which the token has the name above. Sessions and CDRs are not kept here; the
journal has their ids, which do not say whose they are, until its retention ends.
`)
	return b.String()
}
