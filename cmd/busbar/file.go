package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// fillFromFile gives every setting that neither a flag nor the environment has
// set its value in the YAML file that --config names. A key that is no setting
// is a fault: it would be a typing mistake that nobody notices. Every fault is
// reported; none quotes the file, which may hold secrets.
func fillFromFile(parsed *kong.Context) error {
	flags := make(map[string]*kong.Flag)
	for _, f := range parsed.Flags() {
		flags[strings.ReplaceAll(f.Name, "-", "_")] = f
	}
	config := flags["config"]
	if config == nil || config.Target.String() == "" {
		return nil
	}
	path := config.Target.String()
	settings, err := readSettings(path)
	if err != nil {
		return err
	}
	// An empty variable is one that is not set; an empty flag is meant.
	given := func(f *kong.Flag) bool {
		return f.Target.String() != "" ||
			slices.ContainsFunc(parsed.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == f.Name })
	}
	var faults []error
	for _, s := range settings {
		f := flags[s.name]
		text, err := settingText(s.value)
		switch {
		case f == nil || s.name == "config" || s.name == "help":
			faults = append(faults, fmt.Errorf("%s:%d: %s is not a setting", path, s.line, s.name))
		case f.Target.Kind() != reflect.String:
			faults = append(faults, fmt.Errorf("%s:%d: %s cannot be set in the file", path, s.line, s.name))
		case err != nil:
			faults = append(faults, fmt.Errorf("%s:%d: %s: %w", path, s.line, s.name, err))
		case !given(f):
			f.Target.SetString(text)
		}
	}
	return errors.Join(faults...)
}

// fileSetting is one line of the file.
type fileSetting struct {
	name  string
	line  int
	value ast.Node
}

func readSettings(path string) ([]fileSetting, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	file, err := parser.ParseBytes(raw, 0)
	if err != nil {
		var fault yaml.Error
		if errors.As(err, &fault) && fault.GetToken() != nil {
			return nil, fmt.Errorf("%s:%d: not valid YAML, or a setting that stands twice", path, fault.GetToken().Position.Line)
		}
		return nil, fmt.Errorf("%s: not valid YAML", path)
	}
	var settings []fileSetting
	for _, doc := range file.Docs {
		switch body := doc.Body.(type) {
		case nil, *ast.CommentGroupNode, *ast.NullNode:
		case ast.MapNode:
			for lines := body.MapRange(); lines.Next(); {
				key := lines.Key().GetToken()
				settings = append(settings, fileSetting{name: key.Value, line: key.Position.Line, value: lines.Value()})
			}
		default:
			return nil, fmt.Errorf("%s: must be a YAML map of settings", path)
		}
	}
	return settings, nil
}

// settingText is a YAML value as it would stand in the environment, digit for
// digit: a key that looks like a number stays what was written. A list is one
// with commas.
func settingText(value ast.Node) (string, error) {
	switch v := value.(type) {
	case *ast.NullNode:
		return "", nil
	case *ast.LiteralNode: // | and >
		return strings.TrimSpace(v.Value.Value), nil
	case *ast.StringNode:
		return v.Value, nil
	case *ast.SequenceNode:
		parts := make([]string, len(v.Values))
		for i, item := range v.Values {
			text, err := settingText(item)
			if err != nil {
				return "", err
			}
			parts[i] = text
		}
		return strings.Join(parts, ","), nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return v.GetToken().Value, nil
	}
	return "", errors.New("must be a single value or a list of them")
}
