package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hamba/avro/v2"
)

// decoder decodes the Avro records of a stream with a schema registry. Such a record begins with a zero byte and the four bytes of
// its schema's id; the Secret's schema.registry.url says where to ask for that schema, once an id.
type decoder struct {
	url     string
	client  *http.Client
	schemas map[uint32]avro.Schema // nil: not Avro
}

func newDecoder(folder string) (*decoder, error) {
	url := os.Getenv("KAFKA_CLIENT_REGISTRY") // another way in
	if url == "" {
		content, err := os.ReadFile(filepath.Join(folder, "schema.registry.url"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		url = strings.TrimSpace(string(content))
	}
	transport := &http.Transport{}
	authority, err := os.ReadFile(filepath.Join(folder, "schema-registry-ca.crt"))
	switch {
	case errors.Is(err, os.ErrNotExist): // a certificate that the machine trusts anyway
	case err != nil:
		return nil, err
	default:
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(authority) {
			return nil, errors.New("schema-registry-ca.crt has no certificate in it")
		}
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: transport}
	return &decoder{strings.TrimRight(url, "/"), client, map[uint32]avro.Schema{}}, nil
}

// text is the record as JSON, or as it is where it is not Avro with an id.
func (d *decoder) text(ctx context.Context, value []byte) ([]byte, error) {
	if d.url == "" || len(value) < 5 || value[0] != 0 {
		return value, nil
	}
	schema, err := d.schema(ctx, binary.BigEndian.Uint32(value[1:5]))
	if err != nil || schema == nil {
		return value, err
	}
	var record any
	if err := avro.Unmarshal(schema, value[5:], &record); err != nil {
		return nil, err
	}
	return json.Marshal(plain(record))
}

func (d *decoder) schema(ctx context.Context, id uint32) (avro.Schema, error) {
	if known, there := d.schemas[id]; there {
		return known, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/schemas/ids/%d", d.url, id), nil)
	if err != nil {
		return nil, err
	}
	answer, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("schema %d: the registry answers %s", id, answer.Status)
	}
	var found struct{ Schema, SchemaType string }
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return nil, err
	}
	var schema avro.Schema
	if found.SchemaType == "" || found.SchemaType == "AVRO" {
		if schema, err = avro.Parse(found.Schema); err != nil {
			return nil, err
		}
	}
	d.schemas[id] = schema
	return schema, nil
}

// plain is what JSON has no word for, as Headworks writes it in JSON.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, one := range value {
			value[name] = plain(one)
		}
	case []any:
		for index, one := range value {
			value[index] = plain(one)
		}
	case *big.Rat:
		digits, _ := value.FloatPrec()
		return value.FloatString(digits)
	case time.Time:
		return value.UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	return value
}
